import java.awt.*;
import java.awt.event.*;
import javax.swing.*;
public class Swing {
    public static void main(String[] arguments) {
        SwingUtilities.invokeLater(() -> {
            JFrame frame = new JFrame("swing");
            JMenuBar bar = new JMenuBar();
            JMenu menu = new JMenu("File");
            JMenu recent = new JMenu("Recent");
            for (String name : new String[] {"one.txt", "two.txt"})
                recent.add(name).addActionListener(event -> System.out.println(name));
            for (String name : new String[] {"New", "Open"})
                menu.add(name).addActionListener(event -> System.out.println(name));
            menu.add(recent);
            bar.add(menu);
            frame.setJMenuBar(bar);
            JTextField field = new JTextField(20);
            field.addActionListener(event -> System.out.println(field.getText()));
            JComboBox<String> box = new JComboBox<>(new String[] {"red", "green", "blue"});
            box.addActionListener(event -> System.out.println(box.getSelectedItem()));
            frame.setLayout(new FlowLayout());
            frame.add(field);
            frame.add(box);
            frame.setDefaultCloseOperation(JFrame.EXIT_ON_CLOSE);
            frame.setSize(400, 84);
            frame.setVisible(true);
        });
    }
}
