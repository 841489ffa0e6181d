-- $1 the first month, $2 the last one, $3 currency or null, $4 limit, $5 offset. What was outstanding at a month's end
-- of what was billed until then, as it is known now, over what was billed in the month, times its days.
with months as (
    select month::date as month, (month + interval '1 month')::date - month::date as days
      from generate_series($1::timestamp, $2::timestamp, interval '1 month') as month
), billed as (
    select month, currency, bill_total
      from receivables.billed_by_month
     where $3::text is null or currency = $3
), open_in as materialized (
    select date_trunc('month', invoice_date)::date as month, currency, sum(outstanding) as outstanding
      from receivables.invoices
     where outstanding > 0 and ($3::text is null or currency = $3)
     group by 1, 2
), page as (
    select months.month, months.days, currencies.currency
      from months
     cross join (select distinct currency from billed) as currencies
     order by months.month, currencies.currency collate "C"
     limit $4 offset $5
)
select
    to_char(page.month, 'YYYY-MM') as month,
    page.currency,
    coalesce(billed.bill_total, 0) as billed,
    coalesce(sum_until.outstanding, 0) as receivable,
    page.days,
    round(sum_until.outstanding * page.days / nullif(billed.bill_total, 0), 1)::float8 as dso_days
from page
left join billed on billed.month = page.month and billed.currency = page.currency
cross join lateral (
    select coalesce(sum(open_in.outstanding), 0) as outstanding
      from open_in
     where open_in.currency = page.currency and open_in.month <= page.month
) as sum_until
order by page.month, page.currency collate "C"
