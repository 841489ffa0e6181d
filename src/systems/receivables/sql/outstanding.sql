-- $1 currency or null; what the buckets of an aging must come to
select currency, count(*) as invoices, sum(outstanding) as outstanding
  from receivables.invoices
 where outstanding > 0 and ($1::text is null or currency = $1)
 group by currency
 order by currency collate "C"
