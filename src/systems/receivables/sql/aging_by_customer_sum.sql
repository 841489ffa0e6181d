-- $1 as of, $2 the edges of the buckets in days, $3 currency or null; how many items there are in all pages, and what
-- they come to
select currency, count(*) as items, sum(invoices)::bigint as invoices, sum(outstanding) as outstanding
  from (
      select
          customer_id,
          currency,
          width_bucket(greatest($1 - due_date, 0), array_prepend(1, array(select edge + 1 from unnest($2::integer[]) as edge))) as bucket,
          count(*) as invoices,
          sum(outstanding) as outstanding
      from receivables.invoices
      where outstanding > 0 and ($3::text is null or currency = $3)
      group by 1, 2, 3
  ) as sums
 group by currency
 order by currency collate "C"
