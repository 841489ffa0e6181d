-- What readers see of each of the export's tables: the load that was published last, and its run date.
select d.dataset, l.id, l.run_date
  from unnest($1::text[]) as d (dataset)
  left join lateral (
      select id, run_date from bursar.loads
       where dataset = d.dataset and state = 'published'
       order by publication desc
       limit 1
  ) as l on true
 order by d.dataset
