-- The latest load of a dataset ($1), customer ($2) and run date ($3), and whether its rows are those that readers of a
-- table ($4) see.
select l.*,
       coalesce(l.publication = (
           select max(p.publication)
             from bursar.loads as p
            where p.dataset = $1 and p.customer = $2 and p.table_name = $4), false) as is_seen
  from bursar.loads as l
 where l.dataset = $1 and l.customer = $2 and l.run_date = $3
 order by l.id desc
 limit 1
