/* The protocol: how an update comes out of the queue, into its row, and to who asks for it.
 *
 * Two workers, one event, and two messages that want different things of it. A worker may be
 * killed at any step, or frozen in a transaction until its lease has ended; a commit may have no
 * answer; a message may be sent twice, expire, end its workers, be set aside and be sent again
 * from there; a worker may be stopped. Spin tries every order of all that. The test beside this
 * runs it as it is, and with one guard after the other left out, which must break a promise of
 * docs/guarantees.md.
 *
 * There is no time: a lease ends, and what failed is tried again, at any moment. A message is a
 * batch here; what batches add is not in this model. */

/* The third one is what a dead letter becomes when it is sent again: new, with an id of its own. */
#define MESSAGES 3
#define REPLAYED 2
#define WORKERS 2
#define NOBODY 9
#define ORPHAN 8
/* Workers that may die with a message before it is set aside. */
#define MOST_DEATHS 1
/* How often each thing goes wrong. */
#ifndef CRASHES
#define CRASHES 2
#endif

/* Fails with the number in its text. */
#define PROMISE(number, holds) assert(number > 0 && (holds))

mtype:state = { pending, completed, failed }
mtype:reason = { untold, updated, already, invalid, no_reason }

#define WANTS(m) (m == 0 -> completed : failed)

/* -- PostgreSQL: the row as committed, and whose transaction has locked it -------------- */
mtype:state row = pending;
byte settled_by = NOBODY;
byte locked_by = NOBODY;
/* Of a transaction whose worker is dead, and whose COMMIT is on its way: its message. */
byte orphan = NOBODY;

/* -- the broker: what waits, is held, and was held by the dead -------------------------- */
byte fresh[MESSAGES];
byte returned[MESSAGES];
byte in_hand[WORKERS] = NOBODY;
bool has_lease[WORKERS];
byte left_behind[MESSAGES];
byte deaths[MESSAGES];
byte letters[MESSAGES];

/* -- who asks: what each message was told ------------------------------------------------ */
mtype:reason told[MESSAGES] = untold;

/* -- who looks on: it knows what no part knows ------------------------------------------- */
byte settlements;
byte settler = NOBODY;
byte crashes, freezes, resends, unanswered, replays, stops;
bool is_expired;

inline commit(m) {
	settlements++;
	PROMISE(1, settlements == 1);
	settler = m;
	row = WANTS(m);
#ifndef NO_SETTLED_BY
	settled_by = m;
#endif
}

inline unlock() {
	if
	:: locked_by == me -> locked_by = NOBODY
	:: else
	fi
}

inline tell(m, what) {
	PROMISE(3, (what == updated) == (settler == m));
	PROMISE(3, what != already || row != pending);
	PROMISE(3, what != no_reason);
	PROMISE(3, told[m] == untold || told[m] == what);
	told[m] = what;
}

/* What is not covered: see docs/guarantees.md. Workers die with a message that was told what
 * somebody else has made of its event, after it was published, until it is set aside. */
#ifdef TOLD_BEFORE
#define WAS_TOLD(m) false
#else
#define WAS_TOLD(m) (told[m] == already)
#endif

/* Not covered either. There are two copies of what is set aside: it was sent twice, or one is in
 * the hand of who is frozen. The other one is applied after all. So message 0 is sent twice, and
 * message 1 set aside. */
#ifdef OTHER_COPIES
#define MAY_HAVE_COPIES(m) true
#else
#define MAY_HAVE_COPIES(m) (m == 0)
#endif

#ifdef NO_LIMIT
#define MUST_BE_SET_ASIDE(m) false
#else
#define MUST_BE_SET_ASIDE(m) (m != 0 && deaths[m] > MOST_DEATHS && !WAS_TOLD(m))
#endif

/* Looked up after whoever may be settling it. */
#ifdef NO_WAIT
#define CAN_LOOK_UP true
#else
#define CAN_LOOK_UP (locked_by == NOBODY)
#endif

/* It may be killed between any two steps. */
#define CRASH atomic { crashes < CRASHES -> crashes++ }; goto killed
#define NEXT if :: true :: CRASH fi

inline fetch(copies) {
	copies--;
	in_hand[me] = m;
#ifndef NO_RECORD
	has_lease[me] = true;
#endif
}

active [WORKERS] proctype worker() {
	byte m;
	byte me = _pid;
	mtype:state seen;
	mtype:reason what;
	bool came_back;

end_idle:
	/* To fetch, and to record who holds it, is one step. */
	atomic {
		if
		:: fresh[0] > 0 -> m = 0; came_back = false; fetch(fresh[0])
		:: fresh[1] > 0 -> m = 1; came_back = false; fetch(fresh[1])
		:: fresh[2] > 0 -> m = 2; came_back = false; fetch(fresh[2])
		:: returned[0] > 0 -> m = 0; came_back = true; fetch(returned[0])
		:: returned[1] > 0 -> m = 1; came_back = true; fetch(returned[1])
		:: returned[2] > 0 -> m = 2; came_back = true; fetch(returned[2])
		fi;
		what = untold
	};
#ifdef NO_RECORD
	NEXT;
	has_lease[me] = true;
#endif
	if
	:: atomic { me == 0 && stops == 0 -> stops++ };
#ifndef NO_GIVING_BACK
		atomic { has_lease[me] = false; returned[m]++; in_hand[me] = NOBODY };
#endif
		goto stopped
	:: CRASH
	:: m == 0 && is_expired -> goto dropping
	:: MUST_BE_SET_ASIDE(m) -> goto setting_aside
	:: !(m == 0 && is_expired) && !MUST_BE_SET_ASIDE(m)
	fi;
#ifdef POISON
	if
	:: m != 0 -> PROMISE(4, deaths[m] <= MOST_DEATHS); goto killed
	:: else
	fi;
#endif

applying:
#ifndef FROZEN_BEGINS
	/* Not covered: who was frozen begins once more with what another has dropped meanwhile. */
	if
	:: !has_lease[me] -> in_hand[me] = NOBODY; goto end_idle
	:: has_lease[me]
	fi;
#endif
	seen = row;
	NEXT;
	if
#ifndef NO_PENDING
	/* What is settled is read, and not locked. */
	:: seen != pending -> goto reading
	:: seen == pending
#else
	:: true
#endif
#ifndef NO_LOCK
		-> atomic { locked_by == NOBODY -> locked_by = me }
#endif
	fi;
#ifndef NO_SECOND_LOOK
#ifndef NO_PENDING
	/* Under the lock the row is looked at once more. */
	if
	:: atomic { row != pending -> unlock() }; goto reading
	:: row == pending
	fi;
#endif
#endif
#ifdef PUBLISHING_FIRST
	atomic { tell(m, updated) };
#endif
	if
	/* Killed before COMMIT was sent, and rolled back. */
	:: atomic { crashes < CRASHES -> crashes++; unlock() }; goto killed
	/* And after: PostgreSQL commits, or does not, when the worker is long gone. */
	:: atomic { crashes < CRASHES && locked_by == me -> crashes++; locked_by = ORPHAN; orphan = m }; goto killed
	/* No answer: nobody knows whether it is committed. */
	:: atomic { unanswered == 0 -> unanswered++;
		if
		:: commit(m)
		:: true
		fi;
		unlock() };
#ifdef NO_RETRY
		goto acknowledging
#else
		goto applying
#endif
	:: atomic { commit(m); unlock() }
	fi;
	NEXT;

reading:
	/* What it is told is the row's, as committed, in a snapshot of its own. */
	atomic {
#ifdef NO_SNAPSHOT
		if
		:: seen == pending && settled_by != m -> what = no_reason
		:: else -> what = (settled_by == m -> updated : already)
		fi
#else
		what = (settled_by == m -> updated : already)
#endif
	};
	NEXT;

publishing:
#ifdef ACKNOWLEDGING_FIRST
	has_lease[me] = false;
	NEXT;
#endif
	atomic { tell(m, what) };
	NEXT;

acknowledging:
	/* Nothing, where the lease has ended: that copy comes again. */
	atomic { has_lease[me] = false; in_hand[me] = NOBODY };
	goto end_idle;

dropping:
	/* Nobody is told, unless it was applied; which what comes for the first time was not. */
#ifndef NO_LOOKING_UP
	if
	:: !came_back
	:: atomic { came_back && CAN_LOOK_UP && settled_by == m -> what = updated }; goto publishing
	:: came_back && CAN_LOOK_UP && settled_by != m
	fi;
#endif
	goto acknowledging;

setting_aside:
#ifndef NO_LOOKING_UP
	if
	:: atomic { CAN_LOOK_UP && settled_by == m -> what = updated }; goto publishing
	:: CAN_LOOK_UP && settled_by != m
	:: CRASH
	fi;
#endif
#ifndef NO_LETTER
	letters[m]++;
#endif
	NEXT;
	what = invalid;
	goto publishing;

killed:
	atomic {
		deaths[m]++;
		in_hand[me] = NOBODY;
		if
		:: has_lease[me] -> has_lease[me] = false; left_behind[m]++
		:: else
		fi
	};
	goto end_idle;

stopped:
	PROMISE(6, !has_lease[me])
}

/* PostgreSQL ends what a dead client has begun. */
active proctype postgresql() {
end:
	do
	:: atomic { locked_by == ORPHAN ->
		if
		:: commit(orphan)
		:: true
		fi;
		orphan = NOBODY; locked_by = NOBODY }
	od
}

/* A lease ends: of who is dead, and of who is frozen and has begun to apply. */
active proctype broker() {
end:
	do
#ifndef NO_RETURN
	:: atomic { left_behind[0] > 0 -> left_behind[0]--; returned[0]++ }
	:: atomic { left_behind[1] > 0 -> left_behind[1]--; returned[1]++ }
	:: atomic { left_behind[2] > 0 -> left_behind[2]--; returned[2]++ }
#endif
	:: atomic { freezes == 0 && locked_by < WORKERS && has_lease[locked_by] && MAY_HAVE_COPIES(in_hand[locked_by]) ->
		freezes++; has_lease[locked_by] = false; returned[in_hand[locked_by]]++ }
	od
}

active proctype outside() {
	atomic { fresh[0] = 1; fresh[1] = 1 };
end:
	do
	/* Who sends was not told whether it was accepted. */
	:: atomic { resends == 0 -> resends++;
		if
		:: fresh[0]++
		:: MAY_HAVE_COPIES(1) -> fresh[1]++
		fi }
	:: atomic { !is_expired -> is_expired = true }
	:: atomic { replays == 0 && letters[1] > 0 -> replays++ };
		/* First it is in the queue, then the letter is deleted; killed in between, or not. */
#ifdef DELETING_FIRST
		letters[1]--;
		if
		:: fresh[REPLAYED]++
		:: true
		fi
#else
		fresh[REPLAYED]++;
		if
		:: letters[1]--
		:: true
		fi
#endif
	od
}

#define IS_KEPT(m) (letters[m] > 0 || told[REPLAYED] != untold)
#define IN_QUEUE(m) (fresh[m] + returned[m] + left_behind[m])

/* When nothing is left to do. */
active proctype end_of_all() {
	timeout;
	PROMISE(2, IN_QUEUE(0) + IN_QUEUE(1) + IN_QUEUE(2) == 0);
	PROMISE(2, told[0] != untold || is_expired);
	PROMISE(2, told[1] != untold);
	PROMISE(2, told[1] != invalid || IS_KEPT(1));
	PROMISE(2, told[2] != invalid || IS_KEPT(2));
	PROMISE(3, settler == NOBODY || told[settler] == updated)
}
