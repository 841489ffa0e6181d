//! HTTP we answer.
//!
//! Systems hand over [`Routes`]: operations, each declared once ([`Operation`]) with its parameters ([`Param`]) and the
//! type of its answer. From that come the reading of requests, the answers as JSON or CSV, and the `OpenAPI` document.
//! Knows no system and no job.

mod accept;
mod access;
mod acting;
mod answer;
mod csv;
mod document;
mod guard;
mod health;
#[cfg(test)]
mod laws;
mod money;
mod operation;
mod page;
mod pages;
mod param;
mod problem;
mod rate;
mod router;
mod routes;
mod server;
mod table;
mod token;

pub use access::Access;
pub use acting::{Reply, Sent};
pub use health::ask_health;
pub use money::Money;
pub use operation::{Draft, Operation};
pub use page::{Page, Paging, Window};
pub use param::{Form, Kind, Month, Param, Params, Place, Spec, Value};
pub use problem::{PROBLEM_JSON, Problem, sentence};
pub use router::{Answering, router};
pub use routes::Routes;
pub use server::{answer, listen};
pub use table::{Heading, Table};
pub use token::{NewToken, new_token};
