//! Names of days: the proleptic Gregorian calendar from a day's number, without a time zone database.

/// `YYYY-MM-DD` of a day counted from 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
pub(crate) fn day_name(day: i64) -> String {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::day_name;

    #[test]
    fn days_have_their_calendar_names() {
        let named = [(0, "1970-01-01"), (-1, "1969-12-31"), (15_706, "2013-01-01"), (16_070, "2013-12-31")];
        for (day, name) in named {
            assert_eq!(day_name(day), name);
        }
        assert_eq!(day_name(11_016), "2000-02-29");
    }
}
