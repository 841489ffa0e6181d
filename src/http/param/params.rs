//! What an operation takes: one parameter, or several together.

use super::{Param, Spec, Value};

/// Parameters that are taken together; a tuple of them is one, too.
pub trait Params: Send + Sync + 'static {
    /// What a handler is given.
    type Values: Send;

    /// The declarations, in the order in which they are read.
    fn specs(&self) -> Vec<Spec>;

    /// Takes the values of [`Self::specs`], in that order; none where one is not of its type, which is a bug.
    fn values(&self, found: &mut dyn Iterator<Item = Option<Value>>) -> Option<Self::Values>;
}

impl<V: Send + 'static> Params for Param<V> {
    type Values = V;

    fn specs(&self) -> Vec<Spec> {
        vec![self.spec.clone()]
    }

    fn values(&self, found: &mut dyn Iterator<Item = Option<Value>>) -> Option<V> {
        (self.read)(found.next()?)
    }
}

impl Params for () {
    type Values = ();

    fn specs(&self) -> Vec<Spec> {
        Vec::new()
    }

    fn values(&self, _: &mut dyn Iterator<Item = Option<Value>>) -> Option<()> {
        Some(())
    }
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {$(
        impl<$($name: Params),+> Params for ($($name,)+) {
            type Values = ($($name::Values,)+);

            fn specs(&self) -> Vec<Spec> {
                #[expect(non_snake_case, reason = "named like their types")]
                let ($($name,)+) = self;
                [$($name.specs()),+].concat()
            }

            fn values(&self, found: &mut dyn Iterator<Item = Option<Value>>) -> Option<Self::Values> {
                #[expect(non_snake_case, reason = "named like their types")]
                let ($($name,)+) = self;
                Some(($($name.values(found)?,)+))
            }
        }
    )+};
}

tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }
