-- The first load of another customer or dataset ($1 and $2 are those of this load) with these bytes ($3) that counts or
-- may come to count: of the same file (path $4, time $5), or, unless that is allowed ($6), of the same dataset.
select l.id, l.dataset, l.customer, l.run_date, l.file_path = $4 and l.file_modified_at = $5 as is_same_file
  from bursar.loads as l
 where l.file_sha256 = $3
   and (l.dataset, l.customer) <> ($1, $2)
   and (l.file_path = $4 and l.file_modified_at = $5 or not $6 and l.dataset = $1)
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
