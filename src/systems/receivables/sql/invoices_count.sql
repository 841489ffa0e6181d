-- $1 the customer or null, $2 whether it is missing in the latest file or null, $3 the number or null
select case
    when $3::text is not null then (
        select count(*)
          from receivables.invoices
         where invoice_number = $3
           and ($1::bigint is null or customer_id = $1)
           and ($2::boolean is null or (missing_since is not null) = $2)
    )
    when $1::bigint is null and $2::boolean is null then (select coalesce(sum(invoices), 0)::bigint from receivables.billed_by_month)
    when $1 is null and $2 then (select count(*) from receivables.invoices where missing_since is not null)
    when $1 is null then (select coalesce(sum(invoices), 0)::bigint from receivables.billed_by_month)
        - (select count(*) from receivables.invoices where missing_since is not null)
    else (
        select count(*)
          from receivables.invoices
         where customer_id = $1 and ($2 is null or (missing_since is not null) = $2)
    )
end
