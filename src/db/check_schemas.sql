-- The schemas ($1) that exist: what the role may do in them, and what it lacks on what they hold.
select n.nspname::text as name,
       pg_get_userbyid(n.nspowner)::text as owner,
       has_schema_privilege(n.oid, 'USAGE') as may_use,
       has_schema_privilege(n.oid, 'CREATE') as may_create,
       array(
           select distinct pg_get_userbyid(c.relowner)::text
             from pg_class as c
            where c.relnamespace = n.oid
              and c.relkind in ('r', 'p', 'v', 'S')
              and not pg_has_role(c.relowner, 'USAGE')
            order by 1) as other_owners,
       array(
           select c.relname::text
             from pg_class as c
            where c.relnamespace = n.oid
              and case when c.relkind = 'S' then not has_sequence_privilege(c.oid, 'USAGE')
                       when c.relkind in ('r', 'p') and c.relname not in ('migrations', '_sqlx_migrations')
                       then not (has_table_privilege(c.oid, 'SELECT')
                                 and has_table_privilege(c.oid, 'INSERT')
                                 and has_table_privilege(c.oid, 'UPDATE')
                                 and has_table_privilege(c.oid, 'DELETE'))
                       when c.relkind in ('r', 'v') then not has_table_privilege(c.oid, 'SELECT')
                       else false
                  end
            order by 1) as not_writable
  from pg_namespace as n
 where n.nspname = any ($1)
 order by n.nspname
