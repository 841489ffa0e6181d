
  from bursar.file_invalid_rows as r
  join bursar.loads as l on l.id = r.load_id
 where ($1::text is null or l.dataset = $1)
   and ($2::text is null or l.customer = $2)
   and ($3::date is null or l.run_date >= $3)
   and ($4::date is null or l.run_date <= $4)
   and ($5::bigint is null or r.load_id = (select coalesce(redrive_of, id) from bursar.loads where id = $5))
   and ($6::text is null or r.status = $6)
   and (($7::text is null and $8::text is null) or exists (
            select
              from jsonb_array_elements(r.errors) as e
             where ($7::text is null or e ->> 'code' = $7)
               and ($8::text is null or coalesce(e ->> 'column', '') = $8)))
   and ($9::bigint[] is null or (r.id = any ($9) and r.load_id = any ($10) and r.line = any ($11)))
