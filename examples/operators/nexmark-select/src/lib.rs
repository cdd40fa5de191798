//! What each Nexmark query takes of the merged events, and under which key: the first step of
//! `examples/pipelines/nexmark-*/wasm.toml`, which do with components what the `pipeline.toml` beside them declare.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Write;
use tidemill_sdk::prelude::*;

/// The queries, by their names.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Query {
    Q0,
    Q1,
    Q2,
    Q3,
    Q4,
    Q5,
    Q7,
    Q8,
    Q11,
    Q12,
}

#[derive(Deserialize)]
struct Settings {
    query: Query,
}

/// One of the three is there.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    person: Option<Person<'a>>,
    auction: Option<Auction>,
    #[serde(borrow)]
    bid: Option<Bid<'a>>,
}

#[derive(Deserialize)]
struct Person<'a> {
    id: u64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    city: Cow<'a, str>,
    #[serde(borrow)]
    state: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Auction {
    id: u64,
    seller: u64,
    category: u64,
    date_time: i64,
    expires: i64,
}

#[derive(Deserialize, Serialize)]
struct Bid<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: i64,
    #[serde(borrow)]
    extra: Cow<'a, str>,
}

#[derive(Serialize)]
struct Seller<'a> {
    name: &'a str,
    city: &'a str,
    state: &'a str,
}

#[derive(Serialize)]
struct Opened {
    from: i64,
    to: i64,
    category: u64,
}

#[derive(Serialize)]
struct Offer {
    at: i64,
    price: u64,
}

/// The operator.
#[derive(Declare)]
pub struct NexmarkSelect {
    settings: Config<Settings>,
    rows: Output,
}

impl NexmarkSelect {
    fn bid(&self, bid: &Bid<'_>) -> Result<()> {
        match self.settings.query {
            Query::Q0 => self.rows.emit_json((), bid),
            Query::Q1 => {
                // Exact, with all digits: a price in euros has three.
                let thousandths = u128::from(bid.price) * 908;
                let mut row = String::with_capacity(128 + bid.extra.len());
                write!(
                    row,
                    "{{\"auction\":{},\"bidder\":{},\"price\":{}.{:03},\"date_time\":{},\"extra\":{}}}",
                    bid.auction,
                    bid.bidder,
                    thousandths / 1_000,
                    thousandths % 1_000,
                    bid.date_time,
                    serde_json::to_string(&bid.extra)?
                )?;
                self.rows.emit((), row)
            }
            Query::Q2 if bid.auction.is_multiple_of(123) => {
                self.rows.emit((), format!("{{\"auction\":{},\"price\":{}}}", bid.auction, bid.price))
            }
            Query::Q4 => self.rows.emit_json(bid.auction.to_string(), &Offer { at: bid.date_time, price: bid.price }),
            Query::Q5 => self.rows.emit(bid.auction.to_string(), ""),
            Query::Q7 => self.rows.emit_json((), bid),
            Query::Q11 | Query::Q12 => self.rows.emit(bid.bidder.to_string(), ""),
            Query::Q2 | Query::Q3 | Query::Q8 => Ok(()),
        }
    }

    fn auction(&self, auction: &Auction) -> Result<()> {
        let (from, to, category) = (auction.date_time, auction.expires, auction.category);
        match self.settings.query {
            Query::Q3 if category == 10 => self.rows.emit(auction.seller.to_string(), auction.id.to_string()),
            Query::Q4 => self.rows.emit_json(auction.id.to_string(), &Opened { from, to, category }),
            Query::Q8 => self.rows.emit(auction.seller.to_string(), ""),
            _ => Ok(()),
        }
    }

    fn person(&self, person: &Person<'_>) -> Result<()> {
        let (name, city, state) = (&*person.name, &*person.city, &*person.state);
        match self.settings.query {
            Query::Q3 if ["or", "id", "ca"].contains(&state) => {
                self.rows.emit_json(person.id.to_string(), &Seller { name, city, state })
            }
            Query::Q8 => self.rows.emit(person.id.to_string(), name),
            _ => Ok(()),
        }
    }
}

impl Operator for NexmarkSelect {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        match event.json::<Line<'_>>()? {
            Line { bid: Some(bid), .. } => self.bid(&bid),
            Line { auction: Some(auction), .. } => self.auction(&auction),
            Line { person: Some(person), .. } => self.person(&person),
            _ => reject!("it is no person, auction or bid"),
        }
    }
}

tidemill_sdk::export!(NexmarkSelect);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, Record};

    const BID: &str = r#"{"event_type":2,"date_time":5,"bid":{"auction":246,"bidder":7,"price":1001,"channel":"c","url":"u","date_time":5,"extra":"a\"b"}}"#;

    fn rows(query: &str) -> Vec<(Option<String>, String)> {
        let mut harness = Harness::<NexmarkSelect>::with_config(&serde_json::json!({ "query": query })).unwrap();
        harness.send([Record::new("", BID).at(5), Record::new("", "{}").at(6)]).unwrap();
        assert_eq!(harness.dead_letters().len(), 1);
        let rows = harness.output("rows");
        rows.iter()
            .map(|row| (row.key.as_ref().map(|key| String::from_utf8(key.clone()).unwrap()), row.text()))
            .collect()
    }

    #[test]
    fn each_query_takes_what_it_needs() {
        let price = r#"{"auction":246,"bidder":7,"price":908.908,"date_time":5,"extra":"a\"b"}"#;
        assert_eq!(rows("q1"), [(None, price.to_string())]);
        assert_eq!(rows("q2"), [(None, r#"{"auction":246,"price":1001}"#.to_string())]);
        assert_eq!(rows("q4"), [(Some("246".into()), r#"{"at":5,"price":1001}"#.to_string())]);
        assert_eq!(rows("q11"), [(Some("7".into()), String::new())]);
        assert_eq!(rows("q3"), []);
    }
}
