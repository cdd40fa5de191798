//! Conditions on an event's fields. Select, windows and aggregates ask them.

use super::fields::{Fields, Record, Scalar};
use crate::config::builtin::{Condition, Scalar as Constant, Test};

/// Conditions that must all hold.
#[derive(Debug, Default)]
pub(super) struct Conditions(Vec<(usize, Test)>);

impl Conditions {
    /// Notes the fields they look at.
    pub(super) fn new(conditions: &[Condition], fields: &mut Fields) -> Conditions {
        Conditions(conditions.iter().map(|c| (fields.add(&c.field), c.test.clone())).collect())
    }

    /// Whether all hold.
    pub(super) fn hold(&self, record: &Record<'_>) -> bool {
        self.0.iter().all(|(field, test)| holds(test, record, *field))
    }
}

fn holds(test: &Test, record: &Record<'_>, field: usize) -> bool {
    if let Test::Exists(wanted) = test {
        return record.raw(field).is_some() == *wanted;
    }
    let Some(value) = record.scalar(field) else { return false };
    match (test, &value) {
        (Test::In(constants), _) => constants.iter().any(|constant| equal(&value, constant)),
        (Test::NotIn(constants), _) => !constants.iter().any(|constant| equal(&value, constant)),
        (Test::Modulo { by, equals }, Scalar::Number(number)) => number.modulo(*by) == Some(i128::from(*equals)),
        (Test::Within { least, above, greatest, below }, Scalar::Number(number)) => {
            least.is_none_or(|least| *number > least || (!above && *number == least))
                && greatest.is_none_or(|greatest| *number < greatest || (!below && *number == greatest))
        }
        _ => false,
    }
}

fn equal(value: &Scalar<'_>, constant: &Constant) -> bool {
    match (value, constant) {
        (Scalar::Number(a), Constant::Number(b)) => a == b,
        (Scalar::Text(a), Constant::Text(b)) => **a == *b.as_bytes(),
        (Scalar::Flag(a), Constant::Flag(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decimal::Decimal;

    #[test]
    fn a_condition_holds_for_what_it_names_and_null_fulfils_nothing() {
        let number = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        let within =
            |least: &str, above| Test::Within { least: Some(number(least)), above, greatest: None, below: false };
        let text = |text: &str| Constant::Text(text.into());
        for (value, test, expected) in [
            ("2", Test::In(vec![Constant::Number(number("2.0"))]), true),
            ("\"2\"", Test::In(vec![Constant::Number(number("2"))]), false),
            ("\"o\\u0072\"", Test::In(vec![text("ca"), text("or")]), true),
            ("true", Test::In(vec![Constant::Flag(true)]), true),
            ("null", Test::NotIn(vec![text("or")]), false),
            ("7", Test::NotIn(vec![text("or")]), true),
            ("246", Test::Modulo { by: 123, equals: 0 }, true),
            ("247", Test::Modulo { by: 123, equals: 0 }, false),
            ("\"246\"", Test::Modulo { by: 123, equals: 0 }, false),
            ("10", within("10", false), true),
            ("10", within("10", true), false),
            ("[10]", within("1", true), false),
            ("null", Test::Exists(false), true),
            ("0", Test::Exists(true), true),
        ] {
            let mut fields = Fields::default();
            let condition = Condition { field: "/a".into(), test: test.clone() };
            let conditions = Conditions::new(&[condition], &mut fields);
            let json = format!("{{\"a\":{value}}}");
            assert_eq!(conditions.hold(&fields.read(Some(json.as_bytes())).unwrap()), expected, "{value} {test:?}");
        }
    }
}
