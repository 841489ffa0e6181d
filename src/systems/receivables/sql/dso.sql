-- $1 the first month, $2 the last one, $3 currency or null. What was outstanding at a month's end of what was billed until
-- then, as it is known now, over what was billed in the month, times its days.
with months as (
    select month::date, (month + interval '1 month')::date - month::date as days
      from generate_series($1::date, $2::date, interval '1 month') as month
), billed as (
    select month, currency, bill_total
      from receivables.billed_by_month
     where $3::text is null or currency = $3
), open_in as (
    select date_trunc('month', invoice_date)::date as month, currency, sum(outstanding) as outstanding
      from receivables.invoices
     where applied < bill_total and ($3::text is null or currency = $3)
     group by 1, 2
)
select
    to_char(months.month, 'YYYY-MM') as month,
    currencies.currency,
    coalesce(billed.bill_total, 0) as billed,
    coalesce(sum_until.outstanding, 0) as receivable,
    months.days,
    round(sum_until.outstanding * months.days / nullif(billed.bill_total, 0), 1) as dso_days
from months
cross join (select distinct currency from billed) as currencies
left join billed on billed.month = months.month and billed.currency = currencies.currency
cross join lateral (
    select coalesce(sum(open_in.outstanding), 0) as outstanding
      from open_in
     where open_in.currency = currencies.currency and open_in.month <= months.month
) as sum_until
order by months.month, currencies.currency collate "C"
