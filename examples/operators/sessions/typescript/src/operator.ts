// Sessions per key: a run of events without a gap comes out as one result, when the watermark says that nothing can join it any
// more. Events may come out of order, so a key has several open sessions, which grow and grow together.

import { defineOperator, eventTimer, jsonOf, output, Reject, settings, value } from '@tidemill/sdk';

/** A run of events, from the first to the last, ms. */
interface Session {
  start: number;
  end: number;
  count: number;
}

const config = settings({ gap_minutes: Number });

/** The last moment at which an event could still join a session. */
const lastMs = (session: Session, gapMs: number) => session.end + gapMs - 1;

export const operator = defineOperator({
  name: 'sessions',
  version: '0.1.0',
  // So long without an event ends a session.
  config: (table) => ({ gapMs: config(table).gap_minutes * 60_000 }),
  // The open sessions of a key, in order of time, and a timer for the end of each.
  declare: { open: value(jsonOf<Session[]>(), { initial: () => [] }), over: eventTimer(), sessions: output() },

  process(event, { open, over, config: { gapMs } }) {
    const time = event.timestamp;
    let session: Session = { start: time, end: time, count: 1 };
    const apart: Session[] = [];
    for (const other of open.get()) {
      if (other.end + gapMs <= time || time + gapMs <= other.start) {
        apart.push(other);
        continue;
      }
      over.cancel(lastMs(other, gapMs));
      session = {
        start: Math.min(session.start, other.start),
        end: Math.max(session.end, other.end),
        count: session.count + other.count,
      };
    }
    if (lastMs(session, gapMs) <= event.watermark) {
      throw new Reject('late: the session that it belongs to is over; allow more out_of_orderness');
    }
    over.register(lastMs(session, gapMs));
    open.set([...apart, session].sort((a, b) => a.start - b.start));
  },

  onTimer(timer, { open, sessions, config: { gapMs } }) {
    const isOver = (session: Session) => lastMs(session, gapMs) <= timer.time;
    const all = open.take();
    for (const session of all.filter(isOver)) sessions.emitJson(timer.key, session);
    const still = all.filter((session) => !isOver(session));
    if (still.length) open.set(still);
  },
});
