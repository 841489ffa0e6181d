-- Open runs that no worker that is up can go on with, in whole or in part; only the run $1 if it is given.
with up as materialized (
    select config_hash || kept_hashes as configurations,
           credentials
      from bursar.workers
     where stopped_at is null
       and bursar.is_up(id)
),
open_runs as (
    select r.*,
           not exists (select from up) as is_alone,
           not exists (select from up where r.config_hash = any(up.configurations)) as lacks_configuration
      from bursar.runs as r
     where r.state = 'running'
       and ($1::uuid is null or r.id = $1)
),
unserved as (
    select t.run_id,
           t.task,
           t.item,
           t.position,
           t.needs
      from bursar.task_runs as t
      join open_runs as r on r.id = t.run_id
     where t.state in ('waiting', 'ready', 'deferred')
       and t.needs <> '{}'
       and not r.lacks_configuration
       and not exists (select from up where r.config_hash = any(up.configurations) and t.needs <@ up.credentials)
)
select r.id as run,
       r.job,
       r.run_date,
       r.config_hash,
       r.is_alone,
       r.lacks_configuration,
       array(select u.task from unserved as u where u.run_id = r.id order by u.position) as tasks,
       array(select u.item from unserved as u where u.run_id = r.id order by u.position) as items,
       array(select distinct n.name
               from unserved as u, unnest(u.needs) as n (name)
              where u.run_id = r.id
                and not exists (select from up where n.name = any(up.credentials))
              order by 1) as needs
  from open_runs as r
 where r.lacks_configuration
    or exists (select from unserved as u where u.run_id = r.id)
 order by r.opened_at, r.id
