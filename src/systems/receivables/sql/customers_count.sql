-- $1 a part of the name or null
select count(*)
  from receivables.customers
 where $1::text is null or strpos(name_key, receivables.name_key($1)) > 0
