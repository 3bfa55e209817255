import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Clock } from '../src/state/clock.ts';

test('a message that was long on its way does not set the clock back', () => {
  let wall = 1_000;
  const clock = new Clock(() => wall);
  clock.follow(5_000);
  assert.equal(clock.now(), 5_000);
  wall += 1_000;
  // Sent at 5,100 and held up for 900 ms.
  clock.follow(5_100);
  assert.equal(clock.now(), 6_000);
  wall += 100;
  clock.follow(6_150);
  assert.equal(clock.now(), 6_150, 'one that came faster than the others sets it right');
});

test('a server whose clock was set back is followed after a minute', () => {
  let wall = 0;
  const clock = new Clock(() => wall);
  clock.follow(100_000);
  for (; wall <= 61_000; wall += 1_000) clock.follow(wall);
  assert.equal(clock.now(), wall);
});

test('a clock is paused, slowed and set', () => {
  let wall = 0;
  const clock = new Clock(() => wall);
  clock.set(500);
  wall += 100;
  assert.equal(clock.now(), 600);
  clock.pause();
  wall += 100;
  assert.equal(clock.now(), 600);
  clock.speed = 0.25;
  clock.play();
  wall += 100;
  assert.equal(clock.now(), 625);
  clock.speed = 4;
  wall += 100;
  assert.equal(clock.now(), 1_025);
});
