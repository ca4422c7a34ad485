//! Numeric fields of a record that rules name and the record has no place for.

/// The values of fields by their names. Whoever reads many records shares the names among them, and who takes
/// them in finds the fields once for all.
#[derive(Debug, Clone, Default)]
pub struct Extra<'a> {
    names: Names<'a>,
    /// One for each name, not a number where the record has none.
    values: Vec<f64>,
}

#[derive(Debug, Clone)]
enum Names<'a> {
    Shared(&'a [String]),
    Own(Vec<&'a str>),
}

impl Default for Names<'_> {
    fn default() -> Self {
        Names::Shared(&[])
    }
}

impl<'a> Extra<'a> {
    /// The values of fields whose names other records have, too: one for each, not a number where there is none.
    pub fn shared(names: &'a [String], values: Vec<f64>) -> Extra<'a> {
        Extra { names: Names::Shared(names), values }
    }

    /// The names and values given to [`Extra::shared`].
    pub fn as_shared(&self) -> Option<(&'a [String], &[f64])> {
        match &self.names {
            Names::Shared(names) => Some((names, &self.values)),
            Names::Own(_) => None,
        }
    }

    /// The names and values of the fields that the record has.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, f64)> {
        let (shared, own) = match &self.names {
            Names::Shared(names) => (*names, [].as_slice()),
            Names::Own(names) => ([].as_slice(), names.as_slice()),
        };
        let names = shared.iter().map(String::as_str).chain(own.iter().copied());
        names.zip(&self.values).filter(|(_, value)| !value.is_nan()).map(|(name, value)| (name, *value))
    }
}

impl PartialEq for Extra<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a> Extend<(&'a str, f64)> for Extra<'a> {
    fn extend<T: IntoIterator<Item = (&'a str, f64)>>(&mut self, more: T) {
        let all = self.iter().chain(more);
        let (names, values): (Vec<&str>, Vec<f64>) = all.unzip();
        *self = Extra { names: Names::Own(names), values };
    }
}

impl<'a> FromIterator<(&'a str, f64)> for Extra<'a> {
    fn from_iter<T: IntoIterator<Item = (&'a str, f64)>>(fields: T) -> Self {
        let mut extra = Extra::default();
        extra.extend(fields);
        extra
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_the_same_whoever_has_their_names() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let shared = Extra::shared(&names, vec![1.0, f64::NAN, 3.0]);
        let mut own: Extra<'_> = [("a", 1.0)].into_iter().collect();
        assert_ne!(shared, own);
        own.extend([("c", 3.0)]);
        assert_eq!(shared, own);
        assert_eq!(shared.iter().collect::<Vec<_>>(), [("a", 1.0), ("c", 3.0)]);
        assert_eq!((shared.as_shared().map(|(_, values)| values.len()), own.as_shared()), (Some(3), None));
    }
}
