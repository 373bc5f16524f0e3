"use strict"
// Draws the readings as they come. Whatever text they carry is written as text, never as HTML.
const by = id => document.getElementById(id)
const UNKNOWN = "-"

function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties)
  element.append(...children)
  return element
}

// Left alone where it is the same: nobody hears it again.
const say = (element, text) => { if (element.textContent !== text) element.textContent = text }

function amount(value) {
  if (value == null) return UNKNOWN
  const short = value >= 1e6 ? {notation: "compact", maximumFractionDigits: 2} : {maximumFractionDigits: 0}
  return value.toLocaleString("en", short)
}
const rate = value => value > 0 && value < 10 ? value.toFixed(1) : amount(value)
function duration(seconds) {
  if (seconds == null) return UNKNOWN
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < .01 ? 1 : 0)} ms`
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
  return seconds < 6000 ? `${Math.round(seconds / 60)} min` : `${amount(seconds / 3600)} h`
}
const moment = time => time.replace("T", " ").replace(/\.\d+Z$/, "Z")
const known = values => values.filter(value => value != null)
const sum = values => known(values).length ? known(values).reduce((one, other) => one + other, 0) : null

function fill(id, rows, none) {
  const cell = value => value instanceof Node ? value : make("td", {}, value)
  const empty = make("tr", {}, make("td", {colSpan: 9, className: "none"}, none ?? ""))
  by(id).replaceChildren(...rows.length ? rows.map(row => make("tr", {}, ...row.map(cell))) : [empty])
}

// -- what `settle top` shows, and the consumer groups ------------------------------------------

const history = []
let trouble = ""

function line() {
  const most = Math.max(...history, 1), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
  const drawn = document.createElementNS(svg.namespaceURI, "polyline")
  svg.setAttribute("viewBox", "0 0 60 20")
  svg.setAttribute("preserveAspectRatio", "none")
  svg.setAttribute("aria-hidden", "true")
  drawn.setAttribute("points", history.map((value, at) => `${at},${19 - value / most * 18}`).join(" "))
  svg.append(drawn)
  return svg
}

function showService(now) {
  const answering = now.workers.filter(worker => worker.answers), held = key =>
    sum(answering.flatMap(worker => Object.values(worker[key] ?? {})))
  const settled = sum(Object.values(now.updatesPerSecond))
  history.push(settled ?? 0)
  if (history.length > 60) history.shift()
  say(by("address"), now.address)
  showTrouble(now)
  const age = now.queue.messages ? `the oldest for ${duration(now.queue.oldestAgeSeconds)}` : ""
  const delayed = now.queue.delayed ? `${amount(now.queue.delayed)} delayed` : ""
  const facts = [
    ["waiting", amount(now.queue.messages), [age, delayed].filter(Boolean).join("; ") || "messages"],
    ["in hand", amount(held("heldUpdates")), `updates in ${amount(held("heldMessages"))} messages`],
    ["settled", `${rate(settled)} /s`, line()],
    ["fetched", `${rate(sum(Object.values(now.messagesPerSecond)))} /s`, `messages; ${amount(now.updatesPerBatch)} updates a batch`],
    ["latency", duration(now.latencySeconds), "from sending to outcome"],
    ["workers ready", `${answering.filter(worker => worker.ready).length} of ${now.workers.length}`,
      `${amount(sum(answering.map(worker => worker.slotsTaken)))} of ${amount(sum(answering.map(worker => worker.slots)))} slots taken`],
    ["dead letters", amount(now.deadLettersKept), "kept"],
  ]
  by("facts").replaceChildren(...facts.map(([name, value, more]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value, more instanceof Node ? more : make("small", {}, more)))))
  fill("outcomes", Object.keys(now.updates).map(name => [name, rate(now.updatesPerSecond[name]), amount(now.updates[name])]))
  fill("batches", Object.keys(now.batches).map(name => [name, rate(now.batchesPerSecond[name]), amount(now.batches[name])]))
  fill("steps", Object.keys(now.stepSeconds).map(name => [name, duration(now.stepSeconds[name])]))
  fill("groups", (now.groups ?? []).map(group => [group.name, amount(group.unread),
    make("td", {className: group.gone ? "bad" : ""}, amount(group.gone))]), now.groups ? "none" : "unknown")
  fill("workers", now.workers.map(workerRow), "no worker answers")
}

function stateOf(worker) {
  if (!worker.answers) return ["no answer", "bad"]
  if (!worker.live) return ["stuck", "bad"]
  return worker.ready ? ["ready", "good"] : ["not ready", "warn"]
}

function workerRow(worker) {
  const [state, className] = stateOf(worker)
  const away = Object.keys(worker.servers).filter(server => !worker.servers[server]).join(", ")
  const figures = worker.answers
    ? [`${amount(worker.slotsTaken)}/${amount(worker.slots)}`, amount(sum(Object.values(worker.heldUpdates ?? {}))),
       rate(worker.updatesPerSecond), duration(worker.latencySeconds),
       make("td", {className: away ? "warn" : ""}, away ? `no ${away}` : "all up"), "now"]
    : [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, duration(worker.lastSeenSeconds)]
  return [worker.name, make("td", {className}, state), ...figures]
}

function showTrouble(now) {
  const lines = now.brokerAway ? [`The broker does not answer: ${now.brokerAway}`] : []
  if (!now.brokerAway && !now.workers.some(worker => worker.answers)) lines.push("No worker answers: updates wait.")
  const tripped = now.workers.filter(worker => worker.answers && worker.breakerTripped)
  if (tripped.length) lines.push(`The breaker has tripped: ${tripped.map(worker => worker.name).join(", ")}. ${now.wayOut}`)
  for (const worker of now.workers.filter(worker => worker.answers)) {
    if (!worker.live) lines.push(`${worker.name} is stuck: ${worker.liveWhy}`)
    else if (!worker.ready) lines.push(`${worker.name} is not ready: ${worker.readyWhy}`)
  }
  for (const group of now.groups ?? [])
    if (group.gone) lines.push(`The consumer group ${group.name} has lost ${amount(group.gone)} outcomes: they were trimmed before it read them.`)
  lines.push(...now.notes)
  if (trouble === (trouble = lines.join("\n"))) return
  by("trouble").replaceChildren(...lines.map(text => make("li", {}, text)))
}

// -- the dead letters --------------------------------------------------------------------------

// Puts children in order. What is there stays where it is: moved, it would lose how far it is read.
function arrange(parent, children) {
  for (const child of [...parent.childNodes]) if (!children.includes(child)) child.remove()
  children.forEach((child, at) => {
    if (parent.childNodes[at] !== child) parent.insertBefore(child, parent.childNodes[at] ?? null)
  })
}

const drawn = (parent, key) => [...parent.children].find(one => one.dataset.key === key)

// Text of a message, which may write from right to left: what stands beside it does not.
const carried = text => make("bdi", {}, text)

function showLetters(now) {
  const focused = document.activeElement?.dataset.key
  const seen = now.looked < now.kept ? `; by reason, of the latest ${amount(now.looked)}` : ""
  say(by("kept"), now.kept ? `${amount(now.kept)} kept${seen}` : "There are none.")
  const hidden = now.kindsHidden ? [make("p", {className: "none"}, `and ${now.kindsHidden} more reasons: settle dead list`)] : []
  arrange(by("letters"), [...now.kinds.map(kindOf), ...hidden])
  if (!focused || document.activeElement?.dataset.key) return
  (by("letters").querySelector(`[data-key="${CSS.escape(focused)}"]`) ?? by("done")).focus()
}

function kindOf(kind) {
  const count = kind.entries.length, key = `kind ${kind.kind}`
  const block = drawn(by("letters"), key) ?? folded(key)
  const isRead = one => one.open && !kind.letters.some(letter => one.dataset.key === `letter ${letter.entry}`)
    && kind.entries.some(entry => one.dataset.key === `letter ${entry}`)
  const shown = [...kind.letters.map(letter => letterOf(letter, block)), ...[...block.children].filter(isRead)]
  const hidden = count - shown.length
  const times = [...new Set([kind.first, kind.last].map(moment))].join(" to ")
  arrange(block, [titled(key, make("b", {}, `${amount(count)} x `), carried(kind.kind), " ", make("time", {}, times)),
    actions(key, kind.entries, count > 1 ? `these ${amount(count)}` : "it"), ...shown,
    ...hidden ? [make("p", {className: "none"}, `and ${amount(hidden)} more: settle dead list --all`)] : []])
  return block
}

function letterOf(letter, parent) {
  const key = `letter ${letter.entry}`, known = drawn(parent, key)
  if (known) return known
  const content = make("pre", {tabIndex: 0}, "…"), block = folded(key)
  const index = letter.index == null ? "" : `, index ${letter.index}`
  block.append(titled(key, make("time", {}, moment(letter.time)), " message ", carried(letter.messageId), `${index}: `,
    carried(letter.reason)), actions(key, [letter.entry], "it"), content)
  let isRead = false
  block.addEventListener("toggle", async () => {
    if (!block.open || isRead) return
    [isRead, content.textContent] = await contentOf(letter.entry)
  })
  return block
}

async function contentOf(entry) {
  try {
    const answer = await fetch(`letters/${entry}`), letter = await answer.json()
    if (!answer.ok) return [false, letter.message]
    const rest = letter.cut ? `\n… and ${amount(letter.cut)} characters more: settle dead show ${entry}` : ""
    return [true, `${letter.delivery}\n${letter.raw}${rest}`]
  } catch (error) {
    return [false, `not read: ${error.message}`]
  }
}

function folded(key) {
  const block = make("details", {})
  block.dataset.key = key
  return block
}

function titled(key, ...title) {
  const summary = make("summary", {}, ...title)
  summary.dataset.key = `fold ${key}`
  return summary
}

function actions(key, entries, what) {
  const button = (text, properties, act) => {
    const made = make("button", {type: "button", ...properties}, text)
    made.dataset.key = `${text} ${key}`
    made.addEventListener("click", () => act(made.parentElement))
    return made
  }
  return make("div", {className: "actions"},
    button(`Replay ${what}`, {}, box => seeTo("replay", entries, box)),
    button(`Drop ${what}`, {className: "drop"}, async box => {
      if (await agreed(entries.length)) seeTo("drop", entries, box)
    }))
}

function agreed(count) {
  const dialog = by("ask")
  say(by("question"), `Drop ${count === 1 ? "this dead letter" : `these ${amount(count)} dead letters`} for good? What is in ${count === 1 ? "it" : "them"} cannot be had again.`)
  dialog.returnValue = ""
  dialog.showModal()
  // One alone: a question that was asked before is not answered by this.
  return new Promise(resolve => { dialog.onclose = () => resolve(dialog.returnValue === "drop") })
}

async function seeTo(action, entries, box) {
  const buttons = [...box.querySelectorAll("button")]
  for (const button of buttons) button.disabled = true
  say(by("done"), "…")
  let changed = false
  try {
    const headers = {"Content-Type": "application/json"}
    const answer = await fetch(`letters/${action}`, {method: "POST", headers, body: JSON.stringify({entries})})
    const said = await answer.json()
    changed = said.done > 0 || said.gone > 0
    say(by("done"), said.message ?? wordsOf(action, said))
  } catch (error) {
    say(by("done"), `Not known to be done: ${error.message}`)
  }
  // If something has changed, the next reading draws them anew.
  if (!changed) for (const button of buttons) button.disabled = false
  by("done").focus()
}

function wordsOf(action, said) {
  const parts = [`${action === "drop" ? "Dropped" : "Sent again:"} ${amount(said.done)}.`]
  if (said.gone) parts.push(`${amount(said.gone)} were not there any more.`)
  if (said.kept) parts.push(`${amount(said.kept)} still not valid, kept: ${said.why}`)
  if (said.failed) parts.push(`The rest was not tried: ${said.failed}`)
  return parts.join(" ")
}

// -- live while it is looked at ----------------------------------------------------------------

const STALE_SECONDS = 10, RETRY_SECONDS = 3
let source, seenAt, retry

function showState(text, className) {
  say(by("state"), text)
  by("state").className = className
}

function follow() {
  clearTimeout(retry)
  source?.close()
  if (document.hidden) return
  const here = source = new EventSource("readings")
  source.addEventListener("service", event => {
    seenAt = Date.now()
    showState("live", "live")
    showService(JSON.parse(event.data))
  })
  source.addEventListener("letters", event => showLetters(JSON.parse(event.data)))
  source.addEventListener("error", async () => {
    const why = here.readyState === EventSource.CLOSED ? await refusal() : "the page's server does not answer"
    if (here !== source) return
    showState(why ? `${why}; trying again` : "not let in: load the page again", "lost")
    if (why && here.readyState === EventSource.CLOSED) retry = setTimeout(follow, RETRY_SECONDS * 1e3)
  })
}

// Why there are no readings, which an EventSource does not say; nothing for want of the key.
async function refusal() {
  const asking = new AbortController()
  try {
    const answer = await fetch("readings", {signal: asking.signal})
    if (answer.status === 401) return ""
    if (answer.ok) return "there is an answer"
    return (await answer.json().catch(() => ({}))).message ?? `something in front of the page answers ${answer.status}`
  } catch {
    return "the page's server does not answer"
  } finally {
    asking.abort()
  }
}

function notice() {
  const isOpen = source?.readyState === EventSource.OPEN
  if (isOpen && Date.now() - seenAt > STALE_SECONDS * 1e3) showState("what is shown is old: a server is slow to answer", "lost")
}

document.addEventListener("visibilitychange", follow)
setInterval(notice, 1e3)
follow()
