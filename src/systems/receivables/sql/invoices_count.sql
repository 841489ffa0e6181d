-- $1 the customer or null, $2 whether it is missing in the latest file or null, $3 the number or null, $4 the kind or null.
-- All of them are counted by month already.
with counted as (
    select coalesce(sum(case $4::text when 'invoice' then invoices when 'credit_note' then credit_notes
                        else invoices + credit_notes end), 0)::bigint as number
      from receivables.billed_by_month
), missing as (
    select count(*) as number
      from receivables.invoices
     where missing_since is not null and ($4 is null or kind = $4)
)
select case
    when $3::text is not null then (
        select count(*)
          from receivables.invoices
         where invoice_number = $3
           and ($1::bigint is null or customer_id = $1)
           and ($2::boolean is null or (missing_since is not null) = $2)
           and ($4 is null or kind = $4)
    )
    when $1::bigint is null and $2::boolean is null then (select number from counted)
    when $1 is null and $2 then (select number from missing)
    when $1 is null then (select number from counted) - (select number from missing)
    else (
        select count(*)
          from receivables.invoices
         where customer_id = $1
           and ($2 is null or (missing_since is not null) = $2)
           and ($4 is null or kind = $4)
    )
end
