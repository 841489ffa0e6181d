//! What is to be delivered, until when, and what became of it. Knows no queue and sends no alert.
//!
//! [`expect`] says which files are due on a day and until when, [`watch`] looks whether they are there, the pure
//! [`judge`] decides what a look means, and [`store`] keeps it. Whoever looks acts on the events in the transaction
//! that enters them, so that each is acted upon once, however many daemons look.

pub mod expect;
pub mod judge;
pub mod store;
pub mod watch;

pub use store::{Delivery, Load, State, loaded};
pub use watch::{Lookout, Seen};
