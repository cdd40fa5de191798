//! The joins of Nexmark q3 (who sells in a category and lives in some states) and q4 (bids within their auction's time), over what
//! `nexmark-select` gives: everything of a key comes here, and whichever side comes first waits in the state.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Query {
    Q3,
    Q4,
}

#[derive(Deserialize)]
struct Settings {
    query: Query,
}

/// A person, as text in JSON: `{"name":..,"city":..,"state":..}`.
type Seller = String;

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Opened {
    from: i64,
    to: i64,
    category: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Offer {
    at: i64,
    price: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OfAuction {
    Opened(Opened),
    Offer(Offer),
}

/// The operator.
#[derive(Declare)]
pub struct NexmarkJoin {
    settings: Config<Settings>,
    /// q3: persons of this id.
    sellers: List<Seller>,
    /// q3: auctions of this seller.
    auctions: List<u64>,
    /// q4: auctions of this id.
    opened: List<Opened>,
    /// q4: bids on it.
    offers: List<Offer>,
    rows: Output,
}

impl NexmarkJoin {
    fn sold(&self, seller: &str, auction: u64) -> Result<()> {
        let open = seller.strip_suffix('}').unwrap_or(seller);
        self.rows.emit((), format!("{open},\"id\":{auction}}}"))
    }

    fn q3(&self, event: &Event<'_>) -> Result<()> {
        let text = event.text()?;
        match text.parse::<u64>() {
            Ok(auction) => {
                self.auctions.push(&auction)?;
                self.sellers.get()?.iter().try_for_each(|seller| self.sold(seller, auction))
            }
            Err(_) => {
                self.sellers.push(&text.to_string())?;
                self.auctions.get()?.into_iter().try_for_each(|auction| self.sold(text, auction))
            }
        }
    }

    fn bid(&self, event: &Event<'_>, opened: Opened, offer: Offer) -> Result<()> {
        if (opened.from..=opened.to).contains(&offer.at) {
            let row = format!("{{\"category\":{},\"price\":{}}}", opened.category, offer.price);
            return self.rows.emit(event.key(), row);
        }
        Ok(())
    }

    fn q4(&self, event: &Event<'_>) -> Result<()> {
        match event.json()? {
            OfAuction::Opened(opened) => {
                self.opened.push(&opened)?;
                self.offers.get()?.into_iter().try_for_each(|offer| self.bid(event, opened, offer))
            }
            OfAuction::Offer(offer) => {
                self.offers.push(&offer)?;
                self.opened.get()?.into_iter().try_for_each(|opened| self.bid(event, opened, offer))
            }
        }
    }
}

impl Operator for NexmarkJoin {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        match self.settings.query {
            Query::Q3 => self.q3(event),
            Query::Q4 => self.q4(event),
        }
    }
}

tidemill_sdk::export!(NexmarkJoin);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, Record};

    fn rows(query: &str, events: &[(&str, &str)]) -> Vec<String> {
        let mut harness = Harness::<NexmarkJoin>::with_config(&serde_json::json!({ "query": query })).unwrap();
        harness.send(events.iter().map(|(key, value)| Record::new(*key, *value))).unwrap();
        assert_eq!(harness.dead_letters().len(), 0);
        harness.output("rows").iter().map(Record::text).collect()
    }

    #[test]
    fn a_pair_comes_once_whichever_of_the_two_came_first() {
        let person = r#"{"name":"a","city":"b","state":"or"}"#;
        let expected = [r#"{"name":"a","city":"b","state":"or","id":5}"#];
        assert_eq!(rows("q3", &[("1", "5"), ("1", person), ("2", "6")]), expected);
        assert_eq!(rows("q3", &[("2", "6"), ("1", person), ("1", "5")]), expected);
    }

    #[test]
    fn bids_count_within_their_auctions_time() {
        let events = [
            ("1", r#"{"at":10,"price":7}"#),
            ("1", r#"{"at":9,"price":8}"#),
            ("1", r#"{"from":10,"to":20,"category":3}"#),
            ("1", r#"{"at":20,"price":9}"#),
            ("1", r#"{"at":21,"price":10}"#),
        ];
        assert_eq!(rows("q4", &events), [r#"{"category":3,"price":7}"#, r#"{"category":3,"price":9}"#]);
    }
}
