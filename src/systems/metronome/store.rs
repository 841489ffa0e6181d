//! Writes what was fetched into the tables of a snapshot, each transaction behind the attempt's fence.

use super::model::Net;
use crate::db::fence::Fence;
use crate::fault::Fault;
use crate::json::Item;
use anyhow::Context;
use sqlx::{PgPool, Postgres, Transaction};

/// A snapshot that is being fetched, and the attempt that does it.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) pool: PgPool,
    pub(super) fence: Fence,
    pub(super) snapshot: i64,
}

/// Items of one customer that are to be written together.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Whether what an earlier attempt left of the customer is gone.
    pub(super) is_begun: bool,
    pub(super) invoices: Vec<Item>,
    pub(super) ledgers: Vec<Item>,
    pub(super) net: Vec<Net>,
}

impl Draft {
    /// How long the items are, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.invoices.iter().chain(&self.ledgers).map(|item| item.get().len()).sum()
    }
}

/// What remains to be done for a customer when its items are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    MoreComes,
    Fetched,
}

impl Store {
    /// A transaction that only this attempt's present self may commit.
    ///
    /// # Errors
    /// A transient fault when the attempt is not the present one any more.
    pub(super) async fn begin(&self) -> anyhow::Result<Transaction<'static, Postgres>> {
        let mut transaction = self.pool.begin().await.context("write what was fetched")?;
        self.fence.hold(&mut transaction).await?;
        Ok(transaction)
    }

    /// Forgets a list that was broken off.
    pub(super) async fn unlist(&self) -> anyhow::Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("delete from metronome.customers where snapshot_id = $1")
            .bind(self.snapshot)
            .execute(&mut *transaction)
            .await
            .context("forget a list of customers that was broken off")?;
        transaction.commit().await.context("forget a list of customers that was broken off")
    }

    /// Keeps a page of the list.
    pub(super) async fn list(&self, items: &[Item]) -> anyhow::Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query(include_str!("customers_list.sql"))
            .bind(self.snapshot)
            .bind(array(items))
            .execute(&mut *transaction)
            .await
            .context("keep a page of the list of customers")?;
        transaction.commit().await.context("keep a page of the list of customers")
    }

    /// Keeps a customer whose entry in the list can't be read.
    pub(super) async fn list_unreadable(&self, customer: &str, why: &str) -> anyhow::Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "insert into metronome.customers (snapshot_id, id, more, state, fault, error)
             values ($1, $2, '{}', 'failed', 'data', $3)
             on conflict do nothing",
        )
        .bind(self.snapshot)
        .bind(customer)
        .bind(why)
        .execute(&mut *transaction)
        .await
        .context("keep a customer that can't be read")?;
        transaction.commit().await.context("keep a customer that can't be read")
    }

    /// The list is whole.
    pub(super) async fn listed(&self) -> anyhow::Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("update metronome.snapshots set listed_at = clock_timestamp() where id = $1")
            .bind(self.snapshot)
            .execute(&mut *transaction)
            .await
            .context("close the list of customers")?;
        transaction.commit().await.context("close the list of customers")
    }

    /// Writes a customer's items.
    pub(super) async fn save(&self, customer: &str, draft: &mut Draft, then: Then) -> anyhow::Result<()> {
        let mut transaction = self.begin().await?;
        if !draft.is_begun {
            self.clear(&mut transaction, customer).await?;
        }
        for (items, sql) in [
            (&draft.invoices, include_str!("invoices_save.sql")),
            (&draft.ledgers, include_str!("ledgers_save.sql")),
            (&draft.ledgers, include_str!("entries_save.sql")),
        ] {
            if !items.is_empty() {
                let query = sqlx::query(sql).bind(self.snapshot).bind(customer).bind(array(items));
                query.execute(&mut *transaction).await.context("keep what was fetched")?;
            }
        }
        for net in &draft.net {
            self.save_net(&mut transaction, customer, net).await?;
        }
        if then == Then::Fetched {
            self.mark(&mut transaction, customer, None).await?;
        }
        transaction.commit().await.context("keep what was fetched")?;
        *draft = Draft { is_begun: true, ..Draft::default() };
        Ok(())
    }

    /// Keeps why a customer could not be fetched, and nothing else of it.
    pub(super) async fn fail(&self, customer: &str, fault: Fault, why: &str) -> anyhow::Result<()> {
        let mut transaction = self.begin().await?;
        self.clear(&mut transaction, customer).await?;
        self.mark(&mut transaction, customer, Some((fault, why))).await?;
        transaction.commit().await.context("keep why a customer could not be fetched")
    }

    async fn clear(&self, transaction: &mut Transaction<'static, Postgres>, customer: &str) -> anyhow::Result<()> {
        sqlx::query(include_str!("customer_clear.sql"))
            .bind(self.snapshot)
            .bind(customer)
            .execute(&mut **transaction)
            .await
            .context("forget what was fetched of a customer before")?;
        Ok(())
    }

    async fn save_net(
        &self,
        transaction: &mut Transaction<'static, Postgres>,
        customer: &str,
        net: &Net,
    ) -> anyhow::Result<()> {
        sqlx::query(
            "insert into metronome.net_balances (snapshot_id, customer_id, credit_type_id, balance)
             values ($1, $2, $3, $4::text::numeric)
             on conflict do nothing",
        )
        .bind(self.snapshot)
        .bind(customer)
        .bind(&net.credit_type_id)
        .bind(net.balance.0.to_string())
        .execute(&mut **transaction)
        .await
        .context("keep a net balance")?;
        Ok(())
    }

    async fn mark(
        &self,
        transaction: &mut Transaction<'static, Postgres>,
        customer: &str,
        failure: Option<(Fault, &str)>,
    ) -> anyhow::Result<()> {
        sqlx::query(
            "update metronome.customers set state = $3, fault = $4, error = $5 where snapshot_id = $1 and id = $2",
        )
        .bind(self.snapshot)
        .bind(customer)
        .bind(if failure.is_some() { "failed" } else { "fetched" })
        .bind(failure.map(|(fault, _)| fault.as_str()))
        .bind(failure.map(|(_, why)| why))
        .execute(&mut **transaction)
        .await
        .context("keep how far a customer is")?;
        Ok(())
    }
}

/// The items as the text of one JSON array: the server reads the numbers' own digits.
fn array(items: &[Item]) -> String {
    let texts: Vec<&str> = items.iter().map(|item| item.get()).collect();
    format!("[{}]", texts.join(","))
}
