-- $1 as of, $2 the edges of the buckets in days, $3 currency or null. Bucket 0 is what is not past due.
select
    open.currency,
    width_bucket(greatest($1 - open.due_date, 0), array_prepend(1, array(select edge + 1 from unnest($2::integer[]) as edge))) as bucket,
    sum(open.invoices)::bigint as invoices,
    sum(open.outstanding) as outstanding
from receivables.open_by_due_date as open
where $3::text is null or open.currency = $3
group by 1, 2
order by open.currency collate "C", bucket
