/** When echoes are sent and what their absence means. Milliseconds. */

/** Between two echoes to a peer that is used. */
export const FAST_MS = 500;
/** Between two echoes to a peer that has a session and nothing to say: keeps NATs open. */
export const SLOW_MS = 15_000;
/** A peer is used as long as data was sent to it within this time. */
export const USED_MS = 10_000;
/** Echoes stay fast so long after the use has ended, so that one of them tells the other side for certain. */
export const LINGER_MS = 2_000;
/** Intervals without an echo after which a path is down. */
export const MISSES = 3;
/** Good echoes, in a row and both ways, after which a path that was down is up again. */
export const GOODS = 3;
/** Between two echoes that count for this: three that come at once prove no more than one. */
export const GOOD_SPACING_MS = 400;
/** Silence on a used path after which a relay is looked for, before the path is given up. */
export const SUSPECT_MS = 900;
/** So much later than expected, and its round trip doubled, an echo on a used path is late: the path is tried at once, and more often. */
export const LATE_MS = 100;
/** A path that wakes up, or whose echo is late, is tried at this interval, or its round trip doubled: nobody knows how long it has been dead. */
export const WAKE_MIN_MS = 200;
/** Without a session so long, another endpoint and a relay are tried. */
export const ATTEMPT_MS = 1_000;
/** A relay that did not lead to the peer is left alone so long. */
export const EXCLUDED_MS = 10_000;
/** Answers to echoes that ask for one are at least so far apart. */
export const ANSWER_MS = 50;
