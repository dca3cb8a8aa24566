//! What may happen to the files of a spool.

use super::memory_disk::Image;
use crate::dice::Dice;

/// Does one to three things to the folder, most of them to segments.
pub(super) fn mutate(image: &mut Image, dice: &mut Dice) -> String {
    let done: Vec<String> = (0..dice.within(1..=3)).map(|_| once(image, dice)).collect();
    done.join(", ")
}

fn once(image: &mut Image, dice: &mut Dice) -> String {
    let Some(file) = pick(image, dice) else { return "nothing is left".to_owned() };
    let other = pick(image, dice).unwrap_or_else(|| file.clone());
    let name = name(dice);
    let mut content = image.remove(&file).unwrap_or_default();
    let len = content.len() as u64;
    let done = match dice.within(0..=7) {
        0 | 1 if len > 0 => {
            let bits = dice.within(1..=12);
            for _ in 0..bits {
                content[dice.within(0..=len - 1) as usize] ^= 1 << dice.within(0..=7);
            }
            format!("{bits} bits of {file} flipped")
        }
        2 => {
            content.truncate(dice.within(0..=len) as usize);
            format!("{file} cut to {} of {len}", content.len())
        }
        3 => {
            let at = dice.within(0..=len) as usize;
            let junk = garbage(dice, 3_000);
            let end = (at + junk.len()).min(content.len());
            content[at..end].copy_from_slice(&junk[..end - at]);
            format!("{file} overwritten from {at} to {end}")
        }
        4 => {
            content.extend(garbage(dice, 5_000));
            format!("{file} grown from {len} to {}", content.len())
        }
        5 => return format!("{file} removed"),
        6 => {
            image.insert(name.clone(), content);
            return format!("{file} renamed to {name}");
        }
        7 if other != file => {
            let theirs = image.insert(other.clone(), content).unwrap_or_default();
            image.insert(file.clone(), theirs);
            return format!("{file} and {other} swapped");
        }
        _ => {
            image.insert(name.clone(), content.clone());
            format!("{file} copied to {name}")
        }
    };
    image.insert(file, content);
    done
}

fn pick(image: &Image, dice: &mut Dice) -> Option<String> {
    let segments: Vec<&String> = image.keys().filter(|name| name.ends_with(".seg")).collect();
    let all: Vec<&String> = image.keys().collect();
    let from = if segments.is_empty() || dice.per_cent(20) { all } else { segments };
    (!from.is_empty()).then(|| dice.one_of(&from).clone())
}

/// The name of a segment that could be, or nonsense.
fn name(dice: &mut Dice) -> String {
    match dice.within(0..=2) {
        0 => format!("{}.seg", dice.within(0..=999)),
        1 => format!("{:010}-{:020}.seg", dice.within(0..=20), dice.within(0..=400)),
        _ => format!("{:010}-{:020}.seg", dice.within(0..=u64::from(u32::MAX)), dice.within(0..=u64::MAX - 1)),
    }
}

fn garbage(dice: &mut Dice, most: u64) -> Vec<u8> {
    let zeros = dice.per_cent(33);
    (0..dice.within(1..=most)).map(|_| if zeros { 0 } else { dice.within(0..=255) as u8 }).collect()
}
