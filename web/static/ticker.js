// A worker that ticks once a second. Browsers slow the timers of hidden tabs down, but not those of workers,
// and a hidden tab has to notice a lost feed and sound the alarm too.

setInterval(() => postMessage(0), 1000);
