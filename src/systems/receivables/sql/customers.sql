-- $1 a part of the name or null, $2 limit, $3 offset
select *
  from receivables.counted_customers
 where $1::text is null or strpos(name_key, receivables.name_key($1)) > 0
 order by name_key collate "C"
 limit $2 offset $3
