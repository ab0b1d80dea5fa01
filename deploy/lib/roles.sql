-- The private cluster's database and its two roles: `gatehouse_owner` owns the tables and migrates
-- them, `gatehouse_run` serves requests and has no DDL. Safe to repeat.
set log_min_error_statement = panic; -- no password in a log, even when a statement fails
\getenv owner_password OWNER_PASSWORD
\getenv run_password RUN_PASSWORD

select 'create role gatehouse_owner login'
 where not exists (select from pg_roles where rolname = 'gatehouse_owner') \gexec
select 'create role gatehouse_run login'
 where not exists (select from pg_roles where rolname = 'gatehouse_run') \gexec
alter role gatehouse_owner password :'owner_password';
alter role gatehouse_run password :'run_password';

select 'create database gatehouse owner gatehouse_owner'
 where not exists (select from pg_database where datname = 'gatehouse') \gexec
revoke all on database gatehouse from public;
grant connect on database gatehouse to gatehouse_run;
