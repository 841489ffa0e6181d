//! What is to be delivered, until when, and what became of it.
//!
//! [`expect`] says which files are due on a day and until when, [`watch`] looks whether they are there, the pure
//! [`judge`] decides what a look means, [`store`] keeps it, and [`act`] does what follows. Whoever looks acts on the events in the transaction
//! that enters them, so that each is acted upon once, however many daemons look.

pub mod act;
pub mod expect;
pub mod judge;
pub mod list;
mod refuse;
pub mod store;
pub mod watch;

pub use refuse::{Refusal, refuse};
pub use store::{Delivery, Load, State};
pub use watch::{Lookout, Seen};
