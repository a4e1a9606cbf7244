"""What happens at the MariaDB whose events are kept as a fixture: every type of interest, every kind of change."""

from typing import Final

SCHEMA: Final = "shop"

CREATE: Final = """
create database shop character set utf8mb4;
use shop;
create table things (
    thing_id bigint unsigned not null primary key,
    small tinyint,
    flag tinyint(1),
    price decimal(12, 2),
    ratio double,
    name varchar(100),
    body longtext,
    document json,
    raw varbinary(20),
    born date,
    at_time time(3),
    made datetime,
    made_milli datetime(3),
    made_micro datetime(6),
    seen timestamp(6) null,
    counter bigint unsigned,
    kind enum('small', 'large'),
    bits bit(9)
);
create table pairs (
    left_id int not null,
    right_code varchar(20) not null,
    note text,
    primary key (left_id, right_code)
);
create table marks (mark_id int primary key);
insert into things values
    (1, 1, 1, 12.34, 0.5, 'plain', 'long', '{"a": 1}', x'00ff10', '1999-12-31', '12:34:56.789',
     '2001-02-03 04:05:06', '2001-02-03 04:05:06.789', '2001-02-03 04:05:06.789012', '2001-02-03 04:05:06.789012',
     18446744073709551615, 'small', b'101'),
    (2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
    (3, -128, 0, -9999999999.99, 1e300, '', '', '[]', x'', '1600-01-01', '00:00:00', '1970-01-01 00:00:00',
     '1969-12-31 23:59:59.999', '9999-12-31 23:59:59.999999', '2037-01-01 00:00:00.000001', 0, 'large', b'111111111');
insert into pairs values (1, 'a', 'first'), (1, 'b', null);
"""
"""The tables, and the rows that the initial snapshot reads."""

CHANGES: Final = """
use shop;
insert into things (thing_id, price, made, counter) values
    (9223372036854775808, 0.01, '2024-02-29 23:59:59', 9223372036854775808),
    (18446744073709551614, -0.01, '2024-02-29 00:00:00', 9223372036854775807);
update things set name = 'Ärger 😀 "quoted"' where thing_id = 3;
update things set price = price + 1, made_milli = '2024-01-01 00:00:00.001' where price is not null;
begin;
insert into pairs values (2, 'x', 'one'), (2, 'y', 'two'), (2, 'z', 'three');
update pairs set note = concat(coalesce(note, ''), '!') where left_id = 2;
delete from pairs where right_code = 'y';
commit;
flush binary logs;
update pairs set right_code = 'moved' where left_id = 1 and right_code = 'a';
begin;
insert into pairs values (7, 'again', 'in');
update pairs set note = 'changed' where left_id = 7;
update pairs set note = 'changed twice' where left_id = 7;
delete from pairs where left_id = 7;
insert into pairs values (7, 'again', 'back');
commit;
begin;
insert into pairs values (8, 'never', 'rolled back');
rollback;
delete from things where thing_id >= 9223372036854775808;
flush binary logs;
insert into things (thing_id, at_time, raw) values (4, '-12:00:00.5', x'deadbeef'), (5, '100:00:00', x'01');
truncate table pairs;
insert into pairs values (9, 'after', 'the truncate');
insert into marks values (1);
"""
"""What is streamed: single rows and several of one event, moved keys, rolled files, and rows changed again."""
