select acl.column_name,
       format('grant %s%s on table %s to %s%s', given.privilege_type, ' (' || quote_ident(acl.column_name) || ')',
              $1, role.name, case when given.is_grantable then ' with grant option' end) as give,
       format('revoke all on table %s from %s', $1, role.name) as take
  from (select null::text, c.relacl, c.relowner from pg_class as c where c.oid = to_regclass($1)
         union all
        select a.attname::text, a.attacl, c.relowner
          from pg_attribute as a
          join pg_class as c on c.oid = a.attrelid
         where c.oid = to_regclass($1) and a.attnum > 0) as acl (column_name, items, owner)
 cross join lateral aclexplode(acl.items) as given
 cross join lateral (select case when given.grantee = 0 then 'public'
                                 else quote_ident(pg_get_userbyid(given.grantee)) end) as role (name)
 where given.grantee <> acl.owner
