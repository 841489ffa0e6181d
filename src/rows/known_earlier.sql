-- Waits for the lock $5 (null: for none), and tells the last load of a dataset ($1) and customer ($2) for a run date before
-- $3 that met these bytes ($4): that customer's loads are nobody else's at this moment.
select earlier.id,
       earlier.run_date
  from (select pg_advisory_xact_lock(hashtextextended($5, 0)) offset 0) as held
  left join lateral
       (select id,
               run_date
          from bursar.loads
         where file_sha256 = $4
           and dataset = $1
           and customer = $2
           and run_date < $3
         order by run_date desc, id desc
         limit 1) as earlier on true
