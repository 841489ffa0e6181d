-- Open runs under other configurations than $1, or with tasks that need other credentials than $2.
select r.id as run,
       r.job,
       r.run_date,
       r.config_hash,
       array(select distinct n.name
               from bursar.task_runs as t, unnest(t.needs) as n (name)
              where t.run_id = r.id
                and t.state in ('waiting', 'ready', 'deferred')
                and n.name <> all($2::text[])
              order by 1) as needs
  from bursar.runs as r
 where r.state = 'running'
   and (r.config_hash <> all($1::text[])
        or exists (
            select
              from bursar.task_runs as t
             where t.run_id = r.id
               and t.state in ('waiting', 'ready', 'deferred')
               and not t.needs <@ $2::text[]))
 order by r.opened_at, r.id
