//! A conversation in straight lines: `Request::upgrade` and its `Connection`.

use super::loopback::wire::transports;
use super::loopback::{masked, upgrade_request, wait_until, Client, Running, PATIENCE};
use super::{held, patient, soon_drained};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Mutex;
use std::time::{Duration, Instant};

type Talk = fn(&mut Connection, &Sender<String>) -> Result<(), Error>;

/// Returns a server with one route, /ws, whose conversation can tell the test something.
fn start(limits: Limits, talk: Talk) -> (Running, Receiver<String>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let handler = move |request: &Request| {
        let tell = tell.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        request.upgrade(&["a.v1"], |client| talk(client, &tell))
    };
    let routes = vec![Handler::new("/ws", handler)];
    (Running::start(Server::new(routes).limits(limits)), told)
}

fn tell(tell: &Sender<String>, what: impl std::fmt::Debug) {
    tell.send(format!("{:?}", what)).expect("the test waits");
}

fn next(told: &Receiver<String>) -> String {
    told.recv_timeout(PATIENCE).expect("the conversation tells")
}

#[test]
fn a_question_inside_a_conversation_is_answered_by_its_client() {
    let talk: Talk = |client, _| {
        client.send("Your name?")?;
        let name = client.receive()?.ok_or(Error::Gone)?;
        client.send(format!("Hello {}", name.as_text().unwrap_or("?")))?;
        client.close(CloseCode(4000), "done")
    };
    let (running, _told) = start(Limits::default(), talk);
    let begun = Instant::now();
    let mut clients: Vec<Client> =
        (0..50).map(|_| Client::websocket(running.address, "/ws", "")).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.next_text(), "Your name?");
        client.text(&format!("{}", number));
        assert_eq!(client.next_text(), format!("Hello {}", number));
        assert_eq!(client.next_close(), (4000, "done".to_string()));
        client.frame(0x88, b"\x0f\xa0");
        client.assert_end();
    }
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_connection_knows_its_session_protocol_peer_and_handle() {
    let talk: Talk = |client, told| {
        let (handle, here) = (client.websocket(), Comms::here().ok_or("not here")?);
        assert!(handle.is_connected() && here.is_connected());
        tell(told, (client.protocol(), client.peer(), client.close_frame()));
        assert_eq!(Comms::websocket(client.session_id()).send("to all tabs")?, 1);
        assert_eq!(handle.send("to this tab")?, 1);
        assert_eq!(client.receive()?, None);
        tell(told, client.close_frame().map(|close| close.code.0));
        assert!(!handle.is_connected() && handle.send("nobody")? == 0 && Comms::here().is_none());
        assert!(matches!(client.send("nobody"), Err(Error::Gone)));
        tell(told, "ended");
        Ok(())
    };
    let (running, told) = start(Limits::default(), talk);
    let fields = "Sec-WebSocket-Protocol: b, a.v1\r\n";
    let mut client = Client::websocket(running.address, "/ws", fields);
    let peer = client.stream.peer();
    assert_eq!(next(&told), format!("(Some(\"a.v1\"), {}, None)", peer));
    assert_eq!(
        (client.next_text(), client.next_text()),
        ("to all tabs".into(), "to this tab".into())
    );
    client.frame(0x88, b"\x0f\xa1");
    assert_eq!(client.next_close().0, 4001);
    assert_eq!((next(&told), next(&told)), ("Some(4001)".into(), "\"ended\"".into()));
}

#[test]
fn what_the_closure_returns_decides_the_close_code() {
    let talk: Talk = |client, _| match client.receive()?.as_ref().and_then(Message::as_text) {
        Some("close") => Err(CloseFrame::new(CloseCode(4002), "as told")?.into()),
        Some("unsendable") => {
            Err(CloseFrame { code: CloseCode::ABNORMAL, reason: String::new() }.into())
        }
        Some("long") => Err(CloseFrame { code: CloseCode(4003), reason: "x".repeat(200) }.into()),
        Some("401") => Err(Response::unauthorized().into()),
        Some("500") => Err(Response::internal_error().into()),
        Some("error") => Err("as told".into()),
        Some("panic") => std::panic::panic_any("as told"),
        Some("gone") => Err(Error::Gone),
        _ => Ok(()),
    };
    let (running, _told) = start(patient(), talk);
    for (text, code, reason) in [
        ("ok", 1000, ""),
        ("close", 4002, "as told"),
        ("unsendable", 1011, ""),
        ("long", 4003, &*"x".repeat(123)),
        ("401", 1008, ""),
        ("500", 1011, ""),
        ("error", 1011, ""),
        ("panic", 1011, ""),
    ] {
        let mut client = Client::websocket(running.address, "/ws", "");
        client.text(text);
        assert_eq!(client.next_close(), (code, reason.to_string()), "{}", text);
        // What comes before the answer is skipped, and then the server ends the connection.
        client.text("late");
        client.frame(0x88, &code.to_be_bytes());
        client.assert_end();
    }
}

#[test]
fn code_behind_the_call_runs_however_the_conversation_has_ended() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let handler = move |request: &Request| {
        let room = Comms::topic("behind the call");
        let answer = request.upgrade(&[], |client| {
            assert!(room.join_here());
            match client.receive()?.as_ref().and_then(Message::as_text) {
                Some("panic") => panic!("on purpose"),
                Some("error") => Err("on purpose".into()),
                _ => Ok(()),
            }
        });
        let seen = format!("{:?} {}", answer.as_ref().map(Response::status).ok(), room.len());
        let tell = tell.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        tell.send(seen).expect("the test waits");
        answer
    };
    let routes = vec![Handler::new("/ws", handler)];
    let running = Running::start(Server::new(routes).limits(patient()));
    for (message, code) in [("error", 1011), ("panic", 1011), ("leave", 1000)] {
        let mut client = Client::websocket(running.address, "/ws", "");
        client.text(message);
        assert_eq!(client.next_close().0, code);
        drop(client);
        assert_eq!(next(&told), "Some(101) 0");
    }
    // A frame without a mask is an error of `receive`.
    let mut client = Client::websocket(running.address, "/ws", "");
    client.send(b"\x81\x00");
    assert_eq!(client.next_close().0, 1002);
    drop(client);
    assert_eq!(next(&told), "Some(101) 0");
    assert_eq!(Client::connect(running.address).get("/ws", "").status, 426);
    assert_eq!(next(&told), "Some(426) 0");
}

#[test]
fn the_first_end_counts_and_is_told_again_whatever_the_closure_returns() {
    let talk: Talk = |client, told| {
        let first = client.receive();
        let again = client.receive_timeout(Duration::from_secs(60));
        tell(told, (first, again, client.poll(), client.close_frame().is_some()));
        // It is over: this closes nothing.
        client.close(CloseCode(4003), "late")?;
        Err("late".into())
    };
    // No other deadline may end a client of a slow machine.
    let limits = Limits { message: 10, fragments: 2, ..patient() };
    let (slow, silent) = (
        Limits { message_timeout: Duration::from_millis(300), ..limits.clone() },
        Limits {
            ping_interval: Duration::from_millis(100),
            pong_timeout: Duration::from_millis(100),
            ..limits.clone()
        },
    );
    let many = [masked(0x01, b""), masked(0x00, b""), masked(0x80, b"")].concat();
    for (limits, bytes, code, seen) in [
        (
            &limits,
            masked(0x88, b"\x03\xe8"),
            1000,
            "(Ok(None), Ok(Closed), Ok(false), true)".into(),
        ),
        (&limits, b"\x81\x01a".to_vec(), 1002, violation("an unmasked frame")),
        (&limits, masked(0x81, b"\xff"), 1007, violation("a text message that is not UTF-8")),
        (&limits, masked(0x82, &[0; 11]), 1009, violation("a message that is too large")),
        (&limits, many, 1008, violation("a message of too many fragments")),
        (&slow, masked(0x01, b"a"), 1008, violation("a message that took too long")),
        (&silent, Vec::new(), 1011, violation("no answer to a ping")),
    ] {
        let (running, told) = start(limits.clone(), talk);
        let mut client = Client::websocket(running.address, "/ws", "");
        client.send(&bytes);
        while client.any_frame().opcode != 8 {}
        client.frame(0x88, &u16::to_be_bytes(code));
        client.assert_end();
        drop(client);
        assert_eq!(next(&told), seen);
    }
}

fn violation(text: &str) -> String {
    format!(
        "(Err(the client sent {0}), Err(the client sent {0}), Err(the client sent {0}), true)",
        text
    )
}

#[test]
fn a_loop_that_ignores_the_end_panics_at_the_thousandth_call() {
    let talk: Talk = |client, told| {
        let mut calls = 0;
        let mut again = || {
            calls += 1;
            drop(client.receive());
        };
        while std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut again)).is_ok() {}
        tell(told, calls);
        Ok(())
    };
    let (running, told) = start(patient(), talk);
    let mut client = Client::websocket(running.address, "/ws", "");
    client.frame(0x88, b"");
    assert_eq!(next(&told), "1000");
}

#[test]
fn a_short_timeout_loses_nothing_and_reads_even_if_it_is_zero() {
    let talk: Talk = |client, told| {
        let mut timeouts = 0;
        loop {
            let longest = Duration::from_millis(timeouts % 2);
            match client.receive_timeout(longest)? {
                Next::Message(message) => {
                    tell(told, message.as_bytes().len());
                }
                Next::Timeout if timeouts == 5 => {
                    tell(told, "five");
                    timeouts += 1;
                }
                Next::Timeout => timeouts += 1,
                Next::Closed => return Ok(()),
            }
        }
    };
    let (running, told) = start(Limits::default(), talk);
    let mut client = Client::websocket(running.address, "/ws", "");
    let frame = masked(0x82, &[7; 5000]);
    client.send(&frame[..3000]);
    assert_eq!(next(&told), "\"five\"");
    client.send(&frame[3000..]);
    assert_eq!(next(&told), "5000");
}

#[test]
fn a_loop_of_short_timeouts_pings_its_client_and_gives_up_a_silent_one() {
    let talk: Talk = |client, _| loop {
        if client.receive_timeout(Duration::from_millis(20))? == Next::Closed {
            return Ok(());
        }
    };
    let limits = Limits {
        ping_interval: Duration::from_millis(100),
        pong_timeout: Duration::from_secs(3),
        ..patient()
    };
    let (running, _told) = start(limits, talk);
    let mut client = Client::websocket(running.address, "/ws", "");
    for _ in 0..2 {
        assert_eq!(client.any_frame().opcode, 9);
        client.frame(0x8a, b"");
    }
    assert_eq!(client.any_frame().opcode, 9);
    assert_eq!(client.next_close(), (1011, "no answer to a ping".to_string()));
}

#[test]
fn the_clock_of_a_message_stands_still_while_the_closure_is_elsewhere() {
    let talk: Talk = |client, told| {
        tell(told, client.receive_timeout(Duration::from_millis(1))?);
        // Longer than a message may take.
        std::thread::sleep(Duration::from_millis(1500));
        tell(told, client.receive()?);
        Ok(())
    };
    let limits = Limits { message_timeout: Duration::from_secs(1), ..patient() };
    let (running, told) = start(limits, talk);
    let mut client = Client::websocket(running.address, "/ws", "");
    let frame = masked(0x81, b"hello");
    client.send(&frame[..8]);
    assert_eq!(next(&told), "Timeout");
    client.send(&frame[8..]);
    assert_eq!(next(&told), "Some(Text(\"hello\"))");
}

#[test]
fn what_is_sent_between_slow_steps_of_a_batch_is_written_long_before_its_end() {
    let (go_on, slow) = channel::<()>();
    let slow = Mutex::new(slow);
    let handler = move |request: &Request| {
        request.upgrade(&[], |client| {
            while let Some(message) = client.receive()? {
                client.send(message)?;
                // Until the client has its answer: no later message makes it come.
                let _ = slow.lock().map_err(|_| "poisoned")?.recv();
            }
            Ok(())
        })
    };
    let routes = vec![Handler::new("/ws", handler)];
    let running = Running::start(Server::new(routes).limits(patient()));
    let (mut client, frames) = (Client::connect(running.address), ["a", "b", "c"]);
    let frames = frames.map(|text| masked(0x81, text.as_bytes())).concat();
    client.send(&[upgrade_request("/ws", "").into_bytes(), frames].concat());
    assert_eq!(client.reply().status, 101);
    for text in ["a", "b", "c"] {
        assert_eq!(client.next_text(), text, "the answer comes before the next step");
        go_on.send(()).expect("the closure waits");
    }
}

#[test]
fn poll_answers_pings_and_finds_the_end_and_leaves_messages_where_they_are() {
    let talk: Talk = |client, told| {
        let mut polls = 0;
        while client.poll()? {
            polls += 1;
            std::thread::sleep(Duration::from_millis(1));
            assert!(polls < 100_000, "the client's end was not found");
        }
        // Found is found, however soon it is asked again.
        tell(told, (client.poll()?, client.poll()?));
        for _ in 0..3 {
            tell(told, client.receive()?);
        }
        Ok(())
    };
    let (running, told) = start(Limits::default(), talk);
    let mut client = Client::websocket(running.address, "/ws", "");
    let fragments = [masked(0x01, b"b"), masked(0x89, b"2"), masked(0x80, b"c")];
    client.send(&[masked(0x81, b"a"), masked(0x89, b"1")].concat());
    assert_eq!(client.any_frame().payload, b"1");
    client.send(&fragments.concat());
    assert_eq!(client.any_frame().payload, b"2");
    // A ping of which only a part has come, and then the rest with the end.
    let ping = masked(0x89, b"3");
    client.send(&ping[..4]);
    client.send(&[&ping[4..], &masked(0x88, b"\x03\xe8")].concat());
    assert_eq!(client.any_frame().payload, b"3");
    for seen in ["(false, false)", "Some(Text(\"a\"))", "Some(Text(\"bc\"))", "None"] {
        assert_eq!(next(&told), seen);
    }
}

#[test]
fn poll_pings_a_silent_client() {
    let talk: Talk = |client, _| {
        while client.poll()? {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    };
    let half = Duration::from_millis(500);
    let limits = Limits { ping_interval: half, pong_timeout: half, ..patient() };
    let (running, _told) = start(limits, talk);
    let mut client = Client::websocket(running.address, "/ws", "");
    assert_eq!(client.any_frame().opcode, 9);
    assert_eq!(client.next_close(), (1011, "no answer to a ping".to_string()));
}

#[test]
fn whatever_ends_a_connection_from_outside_wakes_receive_at_once_though_the_client_does_not_answer()
{
    for (way, code) in [("close", 4004), ("shutdown", 1001)] {
        let (tell, told) = channel();
        let (give, given) = channel();
        let senders = Mutex::new((tell, give));
        let handler = move |request: &Request| {
            let (tell, give) = senders.lock().map_err(|_| "poisoned")?.clone();
            request.upgrade(&[], |client| {
                give.send(client.websocket()).map_err(Error::other)?;
                let seen = (client.receive()?, client.close_frame().map(|close| close.code.0));
                tell.send(format!("{:?}", seen)).map_err(Error::other)
            })
        };
        let routes = vec![Handler::new("/ws", handler)];
        let running = Running::start(Server::new(routes).limits(patient()));
        let mut client = Client::websocket(running.address, "/ws", "");
        let handle = given.recv_timeout(PATIENCE).expect("the handle");
        std::thread::scope(|scope| {
            match way {
                "close" => assert_eq!(handle.close(CloseCode(code), "").expect("a good code"), 1),
                _ => drop(scope.spawn(|| running.handle.shutdown())),
            }
            assert_eq!(client.next_close().0, code);
            // The client answers after that, and the server still hears it.
            assert_eq!(next(&told), format!("(None, Some({}))", code), "{}", way);
            client.frame(0x88, &code.to_be_bytes());
            client.assert_end();
        });
    }
}

#[test]
fn a_closure_that_waits_for_its_client_is_none_that_runs() {
    let talk: Talk = |client, told| {
        tell(told, "waits");
        while client.receive()?.is_some() {}
        Ok(())
    };
    let (running, told) = start(soon_drained(), talk);
    let _client = Client::websocket(running.address, "/ws", "");
    next(&told);
    let left = running.handle.shutdown();
    let paths: Vec<_> = left.iter().map(|stuck| stuck.path.as_deref()).collect();
    assert_eq!(paths, [None], "its client has not answered");
}

#[test]
fn a_closure_that_does_not_return_is_reported_with_its_path() {
    let (held, entered, release) = held();
    let handler = move |request: &Request| {
        request.upgrade(&[], |client| {
            client.receive()?;
            held.handle(request).map(drop)
        })
    };
    let server = Server::new(vec![Handler::new("/stuck", handler)]).limits(soon_drained());
    let running = Running::start(server);
    let mut client = Client::websocket(running.address, "/stuck", "");
    client.text("go");
    entered.recv_timeout(PATIENCE).expect("it runs");
    let left = running.handle.shutdown();
    let paths: Vec<_> = left.iter().map(|stuck| stuck.path.as_deref()).collect();
    assert_eq!(paths, [Some("/stuck")]);
    drop(release);
}

#[test]
fn a_refusal_by_a_question_mark_is_the_answer_and_keeps_the_cookie() {
    let handler = |request: &Request| {
        request.session_id();
        let name = request.query("name").ok_or_else(Response::bad_request)?;
        match &name[..] {
            "broken" => Err(Response::internal_error().text("sorry").into()),
            "close" => Err(CloseFrame::new(CloseCode::NORMAL, "")?.into()),
            _ => Ok(Response::new().text(name)),
        }
    };
    let running = Running::start(Server::new(vec![Handler::new("/", handler)]));
    for (target, status, text, cookie) in [
        ("/?name=Ada", 200, "Ada", true),
        ("/", 400, "400 Bad Request\n", true),
        ("/?name=broken", 500, "sorry", false),
        ("/?name=close", 500, "500 Internal Server Error\n", false),
    ] {
        let reply = Client::connect(running.address).get(target, "");
        assert_eq!((reply.status, reply.text()), (status, text), "{}", target);
        assert_eq!(reply.cookie().is_some(), cookie, "{}", target);
    }
}

#[test]
fn a_dropped_client_is_an_end_without_a_close_frame() {
    let talk: Talk = |client, told| {
        while client.poll()? {
            std::thread::sleep(Duration::from_millis(1));
        }
        tell(told, (client.poll()?, client.poll()?));
        tell(told, (client.receive(), client.receive(), client.close_frame().is_some()));
        Ok(())
    };
    let (running, told) = start(Limits::default(), talk);
    drop(Client::websocket(running.address, "/ws", ""));
    assert_eq!(next(&told), "(false, false)");
    assert_eq!(next(&told), "(Ok(None), Ok(None), false)");
    wait_until("it is over", || {
        Comms::stats().connections == 0 || running.handle.shutdown().is_empty()
    });
}

#[test]
fn gone_from_a_conversation_that_is_open_closes_it_as_a_failure() {
    let talk: Talk = |client, _| {
        client.receive()?;
        Err(Error::Gone)
    };
    let (running, _told) = start(patient(), talk);
    let mut client = Client::websocket(running.address, "/ws", "");
    client.text("go");
    assert_eq!(client.next_close().0, 1011);
    client.frame(0x88, b"\x03\xf3");
    client.assert_end();
}

#[test]
fn silence_that_receive_has_counted_is_not_counted_by_poll_again() {
    let talk: Talk = |client, told| {
        client.poll()?;
        // A ping is sent meanwhile.
        tell(told, client.receive_timeout(Duration::from_millis(2100))?);
        for _ in 0..5 {
            tell(told, client.poll());
        }
        Ok(())
    };
    // The answer has far more time than has passed since the ping, and less than the whole wait.
    let (ping_interval, pong_timeout) = (Duration::from_secs(2), Duration::from_millis(2050));
    let limits = Limits { ping_interval, pong_timeout, ..patient() };
    let (running, told) = start(limits, talk);
    let mut client = Client::websocket(running.address, "/ws", "");
    assert_eq!(client.any_frame().opcode, 9);
    assert_eq!(next(&told), "Timeout");
    for _ in 0..5 {
        assert_eq!(next(&told), "Ok(true)");
    }
    assert_eq!(client.next_close().0, 1000);
}

#[test]
fn a_client_that_does_not_read_holds_up_neither_poll_nor_the_end_of_receive() {
    let talk: Talk = |client, told| {
        let handle = client.websocket();
        // From here on the client takes nothing more, and much waits for it.
        let filled = std::thread::spawn(move || {
            let mut before = 0;
            while handle.backlog() != before || before == 0 {
                before = handle.backlog();
                if before == 0 {
                    assert_eq!(handle.send(vec![0; 300_000]).ok(), Some(1));
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            assert_eq!(handle.send(vec![0; 300_000]).ok(), Some(1));
        });
        filled.join().map_err(|_| "it panicked")?;
        tell(told, client.poll());
        tell(told, client.receive());
        Ok(())
    };
    let (running, told) = start(patient(), talk);
    let client = Client::websocket(running.address, "/ws", "");
    assert_eq!(next(&told), "Ok(true)");
    assert!(told.recv_timeout(Duration::from_millis(300)).is_err(), "receive waits");
    std::thread::scope(|scope| {
        scope.spawn(|| running.handle.shutdown());
        assert_eq!(next(&told), "Ok(None)");
        drop(client);
    });
}

#[test]
fn a_handler_knows_behind_its_upgrade_whether_its_client_was_the_last_tab() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let tabs = move |request: &Request| {
        assert!(!Comms::was_last(), "nothing has ended here");
        let answer = request.upgrade(&[], |client| {
            client.send("here")?;
            while client.receive()?.is_some() {}
            Ok(())
        });
        let tell = tell.lock().map_err(|_| "poisoned")?.clone();
        tell.send(format!("{}", Comms::was_last())).map_err(Error::other)?;
        answer
    };
    let other = |_: &Request| Ok(Response::new().text(format!("{}", Comms::was_last())));
    let routes = vec![Handler::new("/ws", tabs), Handler::new("/", other)];
    let running = Running::start(Server::new(routes));
    let (mut first, reply) = Client::upgrade(running.address, "/ws", "");
    let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a first contact"));
    let mut second = Client::websocket(running.address, "/ws", &cookie);
    assert_eq!((first.next_text(), second.next_text()), ("here".into(), "here".into()));
    drop(first);
    assert_eq!(next(&told), "false");
    drop(second);
    assert_eq!(next(&told), "true");
    // The threads serve others now, for which nothing has ended.
    for _ in 0..20 {
        assert_eq!(Client::connect(running.address).get("/", "").text(), "false");
    }
}

transports! {
    all {
        a_question_inside_a_conversation_is_answered_by_its_client
        a_connection_knows_its_session_protocol_peer_and_handle
        what_the_closure_returns_decides_the_close_code
        code_behind_the_call_runs_however_the_conversation_has_ended
        a_loop_that_ignores_the_end_panics_at_the_thousandth_call
        a_short_timeout_loses_nothing_and_reads_even_if_it_is_zero
        a_loop_of_short_timeouts_pings_its_client_and_gives_up_a_silent_one
        the_clock_of_a_message_stands_still_while_the_closure_is_elsewhere
        what_is_sent_between_slow_steps_of_a_batch_is_written_long_before_its_end
        poll_answers_pings_and_finds_the_end_and_leaves_messages_where_they_are
        poll_pings_a_silent_client
        a_closure_that_waits_for_its_client_is_none_that_runs
        a_closure_that_does_not_return_is_reported_with_its_path
        a_refusal_by_a_question_mark_is_the_answer_and_keeps_the_cookie
        a_dropped_client_is_an_end_without_a_close_frame
        gone_from_a_conversation_that_is_open_closes_it_as_a_failure
        silence_that_receive_has_counted_is_not_counted_by_poll_again
        a_client_that_does_not_read_holds_up_neither_poll_nor_the_end_of_receive
        a_handler_knows_behind_its_upgrade_whether_its_client_was_the_last_tab
    }
    not over Unix: "the socket tells a client that still sends that nobody reads" {
        whatever_ends_a_connection_from_outside_wakes_receive_at_once_though_the_client_does_not_answer
    }
    only over TCP: "others tell a client that still sends that the server has gone" {
        the_first_end_counts_and_is_told_again_whatever_the_closure_returns
    }
}
