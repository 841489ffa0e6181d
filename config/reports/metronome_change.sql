-- Customers and credit types that are new, gone, or whose balances changed. Where the fetch of a customer failed on one
-- of the days, nobody can say what changed of it: it has one line, which is unknown.
with day as (
    select * from metronome.balances(:run_date)
),
before as (
    select * from metronome.balances(:against)
),
failed as (
    select customer_id, max(customer_name) as customer_name, max(error) as error
    from (
        select customer_id, customer_name, error from day where error is not null
        union all
        select customer_id, customer_name, error from before where error is not null
    ) as either
    group by customer_id
),
lines as (
    select
        case when before.customer_id is null then 'new' when day.customer_id is null then 'gone' else 'changed' end as change,
        coalesce(day.customer_id, before.customer_id) as customer_id,
        coalesce(day.customer_name, before.customer_name) as customer_name,
        coalesce(day.credit_type, before.credit_type) as credit_type,
        before.invoice_balance as invoice_balance_before,
        day.invoice_balance,
        coalesce(day.invoice_balance, 0) - coalesce(before.invoice_balance, 0) as invoice_balance_change,
        before.credit_balance as credit_balance_before,
        day.credit_balance,
        coalesce(day.credit_balance, 0) - coalesce(before.credit_balance, 0) as credit_balance_change
    from day
    full join before
           on before.customer_id = day.customer_id
          and coalesce(before.credit_type_id, '') = coalesce(day.credit_type_id, '')
)
select
    change,
    customer_id,
    customer_name,
    credit_type,
    invoice_balance_before,
    invoice_balance,
    invoice_balance_change,
    credit_balance_before,
    credit_balance,
    credit_balance_change,
    null as notes
from lines
where customer_id not in (select customer_id from failed)
  and (change <> 'changed' or invoice_balance_change <> 0 or credit_balance_change <> 0)
union all
select 'unknown', customer_id, customer_name, null, null, null, null, null, null, null, error
from failed
order by 1, 3, 2, 4
