//! Exact decimal numbers: what JSON numbers are to conditions, aggregates and projections. Pipeline files give constants
//! as decimals; `operator/builtin` computes with them. Sums do not depend on the order of their parts, as floats' would.

use std::cmp::Ordering;
use std::fmt;

/// Most digits after the point.
pub const SCALE_MAX: u8 = 30;
/// Powers of ten that fit `i128`.
const POWERS: usize = 39;

static TEN: [i128; POWERS] = {
    let mut powers = [1; POWERS];
    let mut i = 1;
    while i < POWERS {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// `units / 10^scale`, at most 38 digits in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decimal {
    units: i128,
    scale: u8,
}

impl Decimal {
    /// From its parts; `None` when the scale is over [`SCALE_MAX`].
    pub fn new(units: i128, scale: u8) -> Option<Decimal> {
        (scale <= SCALE_MAX).then_some(Decimal { units, scale })
    }

    /// The parts: `units / 10^scale`.
    pub fn parts(self) -> (i128, u8) {
        (self.units, self.scale)
    }

    /// A JSON number; `None` when it is none, or has more digits than fit.
    pub fn parse(text: &[u8]) -> Option<Decimal> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (mut units, mut scale, mut point, mut any, mut at) = (0i128, 0i32, false, false, 0);
        while let Some(byte) = digits.get(at) {
            match byte {
                b'0'..=b'9' => {
                    any = true;
                    units = units.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                    scale += i32::from(point);
                }
                b'.' if !point && any => point = true,
                b'e' | b'E' if any => break,
                _ => return None,
            }
            at += 1;
        }
        if !any {
            return None;
        }
        if let Some(exponent) = digits.get(at + 1..) {
            let exponent: i32 = std::str::from_utf8(exponent).ok()?.parse().ok()?;
            scale = scale.checked_sub(exponent)?;
        }
        while scale > 0 && units % 10 == 0 && (scale > i32::from(SCALE_MAX) || at < digits.len()) {
            units /= 10;
            scale -= 1;
        }
        if scale < 0 {
            let up = if units == 0 { 1 } else { *TEN.get(usize::try_from(-scale).ok()?)? };
            units = units.checked_mul(up)?;
            scale = 0;
        }
        let units = if negative { -units } else { units };
        Decimal::new(units, u8::try_from(scale).ok()?)
    }

    /// The sum; `None` past 38 digits.
    pub fn plus(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let units = self.at_scale(scale)?.checked_add(other.at_scale(scale)?)?;
        Some(Decimal { units, scale })
    }

    /// The product, with the digits after the point of both; `None` past 38 digits.
    pub fn times(self, other: Decimal) -> Option<Decimal> {
        Decimal::new(self.units.checked_mul(other.units)?, self.scale + other.scale)
    }

    /// `self / count` with so many digits after the point, halves rounded up (towards plus infinity). `None` past 38
    /// digits, or for a count of 0.
    pub fn divided(self, count: u64, decimals: u8) -> Option<Decimal> {
        let mut units = self.units;
        let mut divisor = i128::from(count);
        if decimals >= self.scale {
            units = units.checked_mul(TEN[usize::from(decimals - self.scale)])?;
        } else {
            divisor = divisor.checked_mul(TEN[usize::from(self.scale - decimals)])?;
        }
        if divisor == 0 {
            return None;
        }
        // floor(x + 1/2), without going past the whole part.
        let (whole, rest) = (units.div_euclid(divisor), units.rem_euclid(divisor));
        Decimal::new(whole + i128::from(rest >= divisor - rest), decimals)
    }

    /// The remainder of a whole number by a positive one, with the sign of the number; `None` when it is not whole.
    pub fn modulo(self, by: i64) -> Option<i128> {
        let unit = TEN[usize::from(self.scale)];
        (self.units % unit == 0 && by > 0).then(|| self.units / unit % i128::from(by))
    }

    /// A whole number; `None` when it is not one or does not fit.
    pub fn whole(self) -> Option<i64> {
        let unit = TEN[usize::from(self.scale)];
        if self.units % unit == 0 { i64::try_from(self.units / unit).ok() } else { None }
    }

    fn at_scale(self, scale: u8) -> Option<i128> {
        self.units.checked_mul(TEN[usize::from(scale - self.scale)])
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        if self.scale == other.scale {
            return self.units.cmp(&other.units);
        }
        let whole = |d: &Decimal| d.units.div_euclid(TEN[usize::from(d.scale)]);
        let part = |d: &Decimal| d.units.rem_euclid(TEN[usize::from(d.scale)]) * TEN[usize::from(SCALE_MAX - d.scale)];
        whole(self).cmp(&whole(other)).then_with(|| part(self).cmp(&part(other)))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scale == 0 {
            return self.units.fmt(f);
        }
        let (unit, digits) = (TEN[usize::from(self.scale)].unsigned_abs(), self.units.unsigned_abs());
        let sign = if self.units < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:0width$}", digits / unit, digits % unit, width = usize::from(self.scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn json_numbers_keep_their_digits() {
        for (text, shown) in [
            ("253", "253"),
            ("-0.5", "-0.5"),
            ("2.50", "2.50"),
            ("1e3", "1000"),
            ("1.5e1", "15"),
            ("25E-3", "0.025"),
            ("0e99", "0"),
            ("-12.30e0", "-12.3"),
        ] {
            assert_eq!(d(text).to_string(), shown, "{text}");
        }
        for bad in ["", "-", "a", "1.2.3", ".5", "1e", "1e400", "1e-31", &"9".repeat(40), "1x"] {
            assert!(Decimal::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn products_are_exact_and_quotients_are_rounded_half_up() {
        assert_eq!(d("253").times(d("0.908")).unwrap().to_string(), "229.724");
        assert_eq!(d("250").times(d("0.908")).unwrap().to_string(), "227.000");
        for (sum, count, decimals, shown) in
            [("5", 2, 0, "3"), ("-5", 2, 0, "-2"), ("7", 3, 0, "2"), ("1", 3, 4, "0.3333"), ("0.25", 1, 1, "0.3")]
        {
            assert_eq!(d(sum).divided(count, decimals).unwrap().to_string(), shown, "{sum} / {count}");
        }
        assert!(d("1").divided(0, 0).is_none());
        assert_eq!(d("246").modulo(123), Some(0));
        assert_eq!(d("2.0").modulo(2), Some(0));
        assert_eq!(d("2.5").modulo(2), None);
    }

    proptest! {
        #[test]
        fn order_and_sums_are_those_of_whole_numbers(a in -10_000i128..10_000, b in -10_000i128..10_000, s in 0u8..4, t in 0u8..4) {
            let (x, y) = (Decimal::new(a, s).unwrap(), Decimal::new(b, t).unwrap());
            let at = |units: i128, scale: u8| units * TEN[usize::from(4 - scale)];
            prop_assert_eq!(x.cmp(&y), at(a, s).cmp(&at(b, t)));
            prop_assert_eq!(x.plus(y).unwrap(), Decimal::new(at(a, s) + at(b, t), 4).unwrap());
            prop_assert_eq!(Decimal::parse(x.to_string().as_bytes()).unwrap(), x);
        }
    }
}
