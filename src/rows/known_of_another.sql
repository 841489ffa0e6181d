-- The first load of another customer ($2 is this one) with these bytes ($3) that counts or may come to count.
select l.id, l.customer, l.run_date
  from bursar.loads as l
 where l.file_sha256 = $3
   and l.dataset = $1
   and l.customer <> $2
   and (l.is_current
        or (l.state = 'held'
            and l.misdelivery_of is null
            and not exists (
                select
                  from bursar.loads as n
                 where n.dataset = l.dataset
                   and n.customer = l.customer
                   and n.run_date = l.run_date
                   and n.id > l.id
                   and n.redrive_of is null)))
   and not exists (
       select
         from bursar.loads as own
        where own.file_sha256 = $3 and own.dataset = $1 and own.customer = $2 and own.is_current)
 order by l.id
 limit 1
