/** How fast the server says that each instance goes. */
import { rate } from '../ui/format.ts';
import type { Tier } from '../wire.ts';

/** Requests a second of web instances, messages a second of the others; by instance id. */
export type Rates = Readonly<Record<string, number>>;

/** A tier's or an instance's rate with its unit: "3 requests/s", "27 messages/s". */
export const rateOf = (tier: Tier, perS: number): string =>
  `${rate(perS)} ${tier === 'web' ? 'requests' : 'messages'}/s`;
