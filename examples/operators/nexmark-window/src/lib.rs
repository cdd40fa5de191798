//! What the windows of Nexmark q4, q5, q7, q8, q11 and q12 compute, over what `nexmark-select` and `nexmark-join` give.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tidemill_sdk::prelude::*;

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Query {
    /// Per auction: the highest of its bids.
    Q4Winner,
    /// Per category: the average of those.
    Q4Average,
    /// Per auction: bids.
    Q5Count,
    /// Per window: the auctions with the most.
    Q5Most,
    Q7,
    Q8,
    Q11,
    Q12,
}

#[derive(Deserialize)]
struct Settings {
    query: Query,
}

/// What is kept of the events of a window.
#[derive(Clone, Default, Serialize, Deserialize)]
pub enum Kept {
    /// Of none.
    #[default]
    Nothing,
    /// How many.
    Count(u64),
    /// Category and highest price.
    Winner(u64, u64),
    /// Sum and number.
    Average(u128, u64),
    /// The greatest number, and the events that have it.
    Most(u64, Vec<String>),
    /// The names of persons, and whether one of them opened an auction.
    Sellers(BTreeSet<String>, bool),
}

#[derive(Deserialize)]
struct Sale {
    category: u64,
    price: u64,
}

#[derive(Deserialize)]
struct Counted {
    num: u64,
}

#[derive(Deserialize)]
struct Priced {
    price: u64,
}

/// The aggregate.
#[derive(Declare)]
pub struct NexmarkWindow {
    settings: Config<Settings>,
}

fn most(best: u64, rows: Vec<String>, than: u64, others: Vec<String>) -> Kept {
    match best.cmp(&than) {
        std::cmp::Ordering::Greater => Kept::Most(best, rows),
        std::cmp::Ordering::Less => Kept::Most(than, others),
        std::cmp::Ordering::Equal => Kept::Most(best, rows.into_iter().chain(others).collect()),
    }
}

impl NexmarkWindow {
    /// One event alone.
    fn first(&self, event: &Event<'_>) -> Result<Kept> {
        let row = || -> Result<Vec<String>> { Ok(vec![event.text()?.to_string()]) };
        Ok(match self.settings.query {
            Query::Q4Winner => {
                let sale: Sale = event.json()?;
                Kept::Winner(sale.category, sale.price)
            }
            Query::Q4Average => Kept::Average(event.json::<Priced>()?.price.into(), 1),
            Query::Q5Count | Query::Q11 | Query::Q12 => Kept::Count(1),
            Query::Q5Most => Kept::Most(event.json::<Counted>()?.num, row()?),
            Query::Q7 => Kept::Most(event.json::<Priced>()?.price, row()?),
            Query::Q8 => match event.text()? {
                "" => Kept::Sellers(BTreeSet::new(), true),
                name => Kept::Sellers([name.to_string()].into(), false),
            },
        })
    }
}

impl Kept {
    fn with(self, later: Kept) -> Kept {
        match (self, later) {
            (Kept::Nothing, kept) | (kept, Kept::Nothing) => kept,
            (Kept::Count(a), Kept::Count(b)) => Kept::Count(a + b),
            (Kept::Winner(category, a), Kept::Winner(_, b)) => Kept::Winner(category, a.max(b)),
            (Kept::Average(sum, n), Kept::Average(more, m)) => Kept::Average(sum + more, n + m),
            (Kept::Most(best, rows), Kept::Most(than, others)) => most(best, rows, than, others),
            (Kept::Sellers(mut names, sold), Kept::Sellers(more, also)) => {
                names.extend(more);
                Kept::Sellers(names, sold || also)
            }
            // One query keeps one kind.
            (kept, _) => kept,
        }
    }
}

impl Aggregator for NexmarkWindow {
    type Accumulator = Kept;

    fn add(&mut self, kept: &mut Kept, event: &Event<'_>) -> Result<()> {
        *kept = std::mem::take(kept).with(self.first(event)?);
        Ok(())
    }

    fn merge(&mut self, kept: &mut Kept, later: Kept) -> Result<()> {
        *kept = std::mem::take(kept).with(later);
        Ok(())
    }

    fn finish(&mut self, window: &Window<'_>, kept: Kept, rows: &mut Rows) -> Result<()> {
        let (window_start, window_end) = (window.start(), window.end());
        match kept {
            Kept::Nothing => {}
            Kept::Count(num) if matches!(self.settings.query, Query::Q5Count) => {
                // Keys are numbers, and written as such.
                let auction = window.key_text()?;
                let row = format!(
                    "{{\"window_start\":{window_start},\"window_end\":{window_end},\"auction\":{auction},\"num\":{num}}}"
                );
                rows.emit_keyed(window_end.to_string(), row);
            }
            Kept::Count(bid_count) => {
                let bidder = window.key_text()?;
                rows.emit(format!(
                    "{{\"window_start\":{window_start},\"window_end\":{window_end},\"bidder\":{bidder},\"bid_count\":{bid_count}}}"
                ));
            }
            Kept::Winner(category, price) => {
                rows.emit_keyed(category.to_string(), format!("{{\"category\":{category},\"price\":{price}}}"));
            }
            Kept::Average(sum, n) => {
                let average = (2 * sum + u128::from(n)) / (2 * u128::from(n));
                rows.emit(format!("{{\"category\":{},\"avg_price\":{average}}}", window.key_text()?));
            }
            Kept::Most(_, all) if matches!(self.settings.query, Query::Q7) => {
                for row in all {
                    let members = row.strip_prefix('{').unwrap_or(&row);
                    rows.emit(format!("{{\"window_start\":{window_start},\"window_end\":{window_end},{members}"));
                }
            }
            Kept::Most(_, all) => all.into_iter().for_each(|row| rows.emit(row)),
            Kept::Sellers(names, sold) => {
                for name in names.iter().filter(|_| sold) {
                    let (id, name) = (window.key_text()?, serde_json::to_string(name)?);
                    rows.emit(format!(
                        "{{\"window_start\":{window_start},\"window_end\":{window_end},\"id\":{id},\"name\":{name}}}"
                    ));
                }
            }
        }
        Ok(())
    }
}

tidemill_sdk::export_aggregator!(NexmarkWindow);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{AggregateHarness, Record};

    fn rows(query: &str, events: &[(&str, &str, i64)]) -> Vec<String> {
        let config = serde_json::json!({ "query": query });
        let mut harness = AggregateHarness::<NexmarkWindow>::with_config(10, &config).unwrap();
        harness.send(events.iter().map(|(key, value, at)| Record::new(*key, *value).at(*at))).unwrap();
        harness.end().unwrap();
        harness.results().iter().map(Record::text).collect()
    }

    #[test]
    fn bids_are_counted_by_bidder_and_window() {
        let out = rows("q12", &[("7", "", 1), ("8", "", 2), ("7", "", 9), ("7", "", 10)]);
        assert_eq!(out[0], r#"{"window_start":0,"window_end":10,"bidder":7,"bid_count":2}"#);
        assert_eq!(out.len(), 3);
    }

    #[test]
    fn ties_all_come() {
        let bid = |price: u64| format!(r#"{{"price":{price}}}"#);
        let out = rows("q7", &[("", &bid(3), 1), ("", &bid(5), 2), ("", &bid(5), 3), ("", &bid(4), 4)]);
        assert_eq!(out, vec![r#"{"window_start":0,"window_end":10,"price":5}"#; 2]);
    }

    #[test]
    fn sellers_come_once_a_name_when_they_sold() {
        assert_eq!(rows("q8", &[("1", "ann", 1), ("1", "", 2), ("1", "ann", 3), ("2", "bob", 4)]).len(), 1);
    }

    #[test]
    fn averages_are_rounded_to_the_nearest() {
        let out = rows("q4average", &[("3", r#"{"price":1}"#, 1), ("3", r#"{"price":2}"#, 2)]);
        assert_eq!(out, [r#"{"category":3,"avg_price":2}"#]);
    }
}
