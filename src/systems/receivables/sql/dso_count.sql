-- $1 the first month, $2 the last one, $3 currency or null
select
    (select count(*) from generate_series($1::timestamp, $2::timestamp, interval '1 month'))
    * (select count(distinct currency) from receivables.billed_by_month where $3::text is null or currency = $3)
