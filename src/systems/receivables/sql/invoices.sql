-- $1 the customer or null, $2 whether it is missing in the latest file or null, $3 the number or null, $4 the kind or null,
-- $5 limit, $6 offset
select *
  from receivables.named_invoices
 where ($1::bigint is null or customer_id = $1)
   and ($2::boolean is null or (missing_since is not null) = $2)
   and ($3::text is null or invoice_number = $3)
   and ($4::text is null or kind = $4)
 order by invoice_number
 limit $5 offset $6
