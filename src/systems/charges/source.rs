//! Where a charge comes from: the stream API, or the table `uac_invoice` and those beside it.

use super::refusal::{Reason, Refusal};
use crate::clock::Clock;
use crate::config::{CHARGE_ID, ChargeSource, STREAMOS_API_TOKEN, Settings};
use crate::outbound::exchange::{Request, Service, StatusCode, Terms};
use anyhow::Context;
use secrecy::ExposeSecret;
use sqlx::{PgPool, Postgres, Transaction};
use std::time::Duration;
use uuid::Uuid;

/// Where charges come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Stream { service: Service, path: String },
    Table { pool: PgPool, schema: String },
}

/// So many charges are asked for in a second.
const A_SECOND: u32 = 50;

impl Source {
    /// The source that the settings name.
    ///
    /// # Errors
    /// A refusal that names the setting which is missing.
    pub(super) fn of(settings: &Settings, pool: &PgPool, clock: &Clock) -> anyhow::Result<Self> {
        let section = &settings.file.charges;
        if section.source == ChargeSource::Table {
            return Ok(Self::Table { pool: pool.clone(), schema: section.table_schema.clone() });
        }
        let base_url = section.base_url.clone().ok_or_else(|| {
            let detail = "It is not configured where charges come from: set STREAMOS_BASE_URL, or charges.source to \
                \"table\".";
            Refusal::new(Reason::NotConfigured, detail)
        })?;
        let token = &settings.charges.stream_token;
        let bearer = token.as_ref().map(|token| ("authorization", format!("Bearer {}", token.expose_secret()).into()));
        let terms = Terms {
            base_url,
            base_url_key: "charges.base_url (STREAMOS_BASE_URL)",
            headers: bearer.into_iter().collect(),
            query: Vec::new(),
            secrets: token.iter().cloned().collect(),
            secret_variable: STREAMOS_API_TOKEN,
            timeout: Duration::from_secs(section.timeout_s),
            requests_per_second: A_SECOND,
        };
        Ok(Self::Stream { service: Service::new(terms, clock.clone())?, path: section.path.clone() })
    }

    /// The text of a charge.
    ///
    /// # Errors
    /// A refusal where there is none, or the stream API gives none; what the database says.
    pub(super) async fn fetch(&self, charge: Uuid) -> anyhow::Result<String> {
        match self {
            Self::Stream { service, path } => stream(service, path, charge).await,
            Self::Table { pool, schema } => {
                let mut transaction = tables(pool, schema).await?;
                let text: Option<String> = sqlx::query_scalar(include_str!("sql/charge.sql"))
                    .bind(charge)
                    .fetch_optional(&mut *transaction)
                    .await
                    .context("read a charge from the tables")?;
                transaction.commit().await.context("read a charge from the tables")?;
                text.ok_or_else(|| missing(charge).into())
            }
        }
    }
}

fn missing(charge: Uuid) -> Refusal {
    Refusal::new(Reason::NotFound, format!("There is no charge {charge}."))
}

async fn stream(service: &Service, path: &str, charge: Uuid) -> anyhow::Result<String> {
    let segments = path.trim_start_matches('/').split('/').map(|part| part.replace(CHARGE_ID, &charge.to_string()));
    let request = Request::get(segments);
    let unavailable = |detail: String| Refusal::new(Reason::StreamUnavailable, detail);
    let answer = service.fetch(&request).await.map_err(|error| {
        tracing::warn!("charge {charge}: {}", crate::fault::told(&error));
        unavailable("The stream API does not answer, or only with trouble. Try again.".to_owned())
    })?;
    match answer.status {
        status if status.is_success() => Ok(answer.text),
        StatusCode::NOT_FOUND => Err(missing(charge).into()),
        status => {
            tracing::warn!("charge {charge}: {request} answered {status}: {}", service.shown(&answer.text));
            Err(unavailable(format!("The stream API answers {status}.")).into())
        }
    }
}

/// A transaction in which the tables of charges are found by their bare names.
async fn tables(pool: &PgPool, schema: &str) -> anyhow::Result<Transaction<'static, Postgres>> {
    let mut transaction = pool.begin().await.context("read the tables of charges")?;
    sqlx::query("select set_config('search_path', $1, true), set_config('transaction_read_only', 'on', true)")
        .bind(schema)
        .execute(&mut *transaction)
        .await
        .context("read the tables of charges")?;
    Ok(transaction)
}

/// The next charges of the table, by their ids, that nothing was begun of.
pub(super) async fn backlog(pool: &PgPool, schema: &str, after: Uuid, limit: i64) -> anyhow::Result<Vec<Uuid>> {
    let mut transaction = tables(pool, schema).await?;
    let found = sqlx::query_scalar(
        "select i.id
           from uac_invoice as i
          where i.id > $1
            and not exists (select from charges.outbox as o where o.charge_id = i.id)
          order by i.id
          limit $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(&mut *transaction)
    .await
    .with_context(|| format!("look for charges in the table uac_invoice of the schema {schema}"))?;
    transaction.commit().await.context("look for charges")?;
    Ok(found)
}
