//! Reducing and aggregating state: a value per key that folds what is added. Kinds of the SDK, over value state.

use super::value::Value;
use crate::codec::{Codec, Postcard};
use crate::declare::{Field, Opening};
use crate::descriptor::Descriptor;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::ops::Add;

/// How two of a kind become one. Should be associative.
pub trait Reduce: Sized {
    /// The earlier and the later one, folded.
    #[must_use]
    fn reduce(self, later: Self) -> Self;
}

/// Keeps the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sum<T>(pub T);

/// Keeps the least.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Min<T>(pub T);

/// Keeps the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Max<T>(pub T);

impl<T: Add<Output = T>> Reduce for Sum<T> {
    fn reduce(self, later: Self) -> Self {
        Sum(self.0 + later.0)
    }
}

impl<T: PartialOrd> Reduce for Min<T> {
    fn reduce(self, later: Self) -> Self {
        if later.0 < self.0 { later } else { self }
    }
}

impl<T: PartialOrd> Reduce for Max<T> {
    fn reduce(self, later: Self) -> Self {
        if later.0 > self.0 { later } else { self }
    }
}

/// What was added for the current key, folded into one `T`.
pub struct Reducing<T, C = Postcard>(Value<T, C>);

impl<T: Reduce, C: Codec<T>> Reducing<T, C> {
    /// Folds one in. What there is then: [`Reducing::get`].
    pub fn add(&self, one: T) -> Result<()> {
        let folded = match self.0.get()? {
            Some(earlier) => earlier.reduce(one),
            None => one,
        };
        self.0.set(&folded)
    }

    /// What there is.
    pub fn get(&self) -> Result<Option<T>> {
        self.0.get()
    }

    /// Starts anew.
    pub fn clear(&self) -> Result<()> {
        self.0.clear()
    }
}

impl<T: Reduce, C: Codec<T>> Field for Reducing<T, C> {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        <Value<T, C> as Field>::describe(name, descriptor);
    }

    fn open(name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        <Value<T, C> as Field>::open(name, opening).map(Reducing)
    }
}

/// A fold with an accumulator of another type than what goes in and what comes out.
pub trait Aggregate: 'static {
    /// What is added.
    type In;
    /// What is kept.
    type Accumulator: Default;
    /// What is asked for.
    type Out;
    /// Folds one in.
    fn add(accumulator: &mut Self::Accumulator, one: Self::In);
    /// The result so far.
    fn result(accumulator: &Self::Accumulator) -> Self::Out;
}

/// What was added for the current key, folded by `A`.
pub struct Aggregating<A: Aggregate, C = Postcard>(Value<A::Accumulator, C>);

impl<A: Aggregate, C: Codec<A::Accumulator>> Aggregating<A, C> {
    /// Folds one in.
    pub fn add(&self, one: A::In) -> Result<()> {
        let mut accumulator = self.0.get_or_default()?;
        A::add(&mut accumulator, one);
        self.0.set(&accumulator)
    }

    /// The result so far; none when nothing was added.
    pub fn get(&self) -> Result<Option<A::Out>> {
        Ok(self.0.get()?.as_ref().map(A::result))
    }

    /// Starts anew.
    pub fn clear(&self) -> Result<()> {
        self.0.clear()
    }
}

impl<A: Aggregate, C: Codec<A::Accumulator>> Field for Aggregating<A, C> {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        <Value<A::Accumulator, C> as Field>::describe(name, descriptor);
    }

    fn open(name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        <Value<A::Accumulator, C> as Field>::open(name, opening).map(Aggregating)
    }
}
