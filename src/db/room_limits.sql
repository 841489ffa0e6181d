-- Other roles' sessions are counted too: whose they are, and of which database, everybody may see.
select r.rolname::text as role,
       r.rolsuper as is_superuser,
       r.rolconnlimit::bigint as role_limit,
       (select count(*) from pg_stat_activity as a where a.usesysid = r.oid and a.datid is not null and a.pid <> pg_backend_pid()) as role_used,
       d.datconnlimit::bigint as database_limit,
       (select count(*) from pg_stat_activity as a where a.datid = d.oid and a.usesysid is not null and a.pid <> pg_backend_pid()) as database_used,
       current_setting('max_connections')::bigint
           - case when r.rolsuper then 0
                  else current_setting('superuser_reserved_connections')::bigint
                       + coalesce(current_setting('reserved_connections', true)::bigint, 0)
             end as server_limit,
       (select count(*) from pg_stat_activity as a where a.usesysid is not null and a.datid is not null and a.pid <> pg_backend_pid()) as server_used
  from pg_roles as r, pg_database as d
 where r.rolname = session_user and d.datname = current_database()
