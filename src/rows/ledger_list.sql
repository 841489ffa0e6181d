-- Loads and refused files, the newest first: $1 dataset, $2 customer, $3 and $4 run dates, $5 state, $6 how many, $7 job.
-- Each side is narrowed and cut by itself, so that indexes are used.
select *
  from ((select l.id, l.run_id, l.dataset, l.customer, l.run_date, l.table_name, l.state, l.is_current, l.way, l.file_name,
                l.file_bytes, l.file_sha256, l.loaded, l.rejected, l.reasons, l.loaded_at, after.id as overtaken_by
           from bursar.loads as l
           left join lateral (
                select max(a.id)
                  from bursar.loads as a
                 where l.state = 'held' and a.dataset = l.dataset and a.customer = l.customer
                   and a.run_date = l.run_date and a.id > l.id and a.redrive_of is null) as after (id) on true
          where ($1::text is null or l.dataset = $1)
            and ($2::text is null or l.customer = $2)
            and ($3::date is null or l.run_date >= $3)
            and ($4::date is null or l.run_date <= $4)
            and ($5::text is null or l.state = case when $5 = 'overtaken' then 'held' else $5 end)
            and ($5::text is null or case when after.id is null then l.state else 'overtaken' end = $5)
            and ($7::text is null or exists (select from bursar.runs as r where r.id = l.run_id and r.job = $7))
          order by l.id desc
          limit $6)
         union all
        (select f.id, f.run_id, f.dataset, f.customer, f.run_date, null, 'refused', false, null, f.file_name,
                f.file_bytes, f.file_sha256, 0, 0, jsonb_build_array(f.error), f.refused_at, null
           from bursar.refused_files as f
          where ($1::text is null or f.dataset = $1)
            and ($2::text is null or f.customer = $2)
            and ($3::date is null or f.run_date >= $3)
            and ($4::date is null or f.run_date <= $4)
            and ($5::text is null or $5 = 'refused')
            and ($7::text is null or exists (select from bursar.runs as r where r.id = f.run_id and r.job = $7))
          order by f.id desc
          limit $6)) as entry
 order by id desc
 limit $6
