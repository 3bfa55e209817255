//! A timer that can be reset, for actors that poll.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer for one instant; initially not set.
#[derive(Default)]
pub struct Alarm {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Sets the time; `None` cancels the timer.
    pub fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.at = at;
        if let Some(at) = at {
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(at),
                None => self.sleep = Some(Box::pin(sleep_until(at))),
            }
        }
    }

    /// Ready once when the time is reached; pending while the timer is not set.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = self.sleep.as_mut().filter(|_| self.at.is_some()) else { return Poll::Pending };
        sleep.as_mut().poll(cx).map(|()| self.at = None)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_ready_once_at_the_time_that_was_set_last() {
        let (mut alarm, begun) = (Alarm::default(), Instant::now());
        let second = Duration::from_secs(1);
        alarm.set(Some(begun + second * 3));
        alarm.set(Some(begun + second));
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(begun.elapsed(), second);
        alarm.set(Some(begun + second * 2));
        alarm.set(None);
        for _ in 0..2 {
            let set = tokio::time::timeout(second * 5, poll_fn(|cx| alarm.poll(cx))).await;
            assert!(set.is_err(), "it was cancelled");
        }
    }
}
